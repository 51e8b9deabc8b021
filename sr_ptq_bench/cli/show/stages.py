"""The stages of a run, as a user reads them."""

TITLES = {
    "score fp": "Score the FP network",
    "score bicubic": "Score bicubic",
    "score bilinear": "Score bilinear",
    "transform": "Rewrite weights",
    "choose bits": "Choose bits of sites",
    "observe": "Observe distributions",
    "bounds": "Choose bounds",
    "calibrate": "Calibrate",
    "evaluate": "Score the quantized network",
}
