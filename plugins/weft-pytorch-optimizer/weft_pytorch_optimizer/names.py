"""What is offered under which name, where it comes from, and what of it can't do what weft asks."""

_LIBRARY = "pytorch_optimizer"
_HERE = "weft_pytorch_optimizer"


def _words(text: str) -> list[str]:
    return text.split()


_AS_THEY_ARE = _words("""
    A2Grad ADOPT AccSGD AdEMAMix AdaBelief AdaBound AdaGC AdaMod AdaNorm AdaPNM AdaShift AdaSmooth AdaTAM Adai Adalite AdamC
    AdamG AdamP AdamS AdamWSN Adan AggMo Aida Alice Amos Ano ApolloDQN AvaGrad BCOS CAME Conda DASH DAdaptAdaGrad DAdaptAdam
    DAdaptAdan DAdaptLion DAdaptSGD DiffGrad DualAdam EXAdam FAdam FOCUS FTRL FlashAdamW Fromage Grams Gravity GrokFastAdamW
    Kate LARS LaProp Lamb Lion MADGRAD MARS MSVAG Nero NovoGrad PAdam PID PNM Prodigy QHAdam QHM RACS ROSE Ranger Ranger21 SCION
    SGDP SGDSaI SGDW SM3 SOAP SPAM SRMM SWATS SaRA ScalableShampoo SignSGD SimplifiedAdEMAMix StableAdamW StableSPAM TAM Tiger
    VSGD Yogi
""")

_ADAPTED = {
    "averaged": "SPlus ScheduleFreeAdamW ScheduleFreeRAdam ScheduleFreeSGD ScheduleFreeWrapper",
    "by_loss": "AliG EmoFact EmoLynx EmoNavi",
    "kron": "Kron",
    "matrices": "AdaGO AdaMuon AdamMini NorMuon SpectralSphere",
    "projected": "APOLLO Fira GaLore",
    "sharpness": "FriendlySAM GSAM LookSAM SAM WSAM",
    "wrapping": "Lookahead Magma OrthoGrad",
}

OPTIMIZERS: dict[str, str] = {
    **{name.lower(): f"{_LIBRARY}:{name}" for name in _AS_THEY_ARE},
    **{name.lower(): f"{_HERE}.{module}:{name}" for module, names in _ADAPTED.items() for name in _words(names)},
}
"""The optimizers: the library's classes as they are, or with an adapter of this package."""

DRAWING = {"alice", "apollo", "dash", "gravity", "kron", "magma", "scalableshampoo", "spam"}
"""The optimizers that draw random numbers."""

_IN_MOMENTUM = "its momentum has the rates of earlier steps in it"
_AVERAGE = "between steps the model has the average of its weights, which goes on moving"
_ROUNDED = "weights are moved uphill and back, which rounds them"
_OTHERS = {"obeys": "embeddings, biases and normalisations have the rate adamw_lr"}

CANNOT: dict[str, dict[str, str]] = {
    "accsgd": {"scheduled": "weights are drawn towards a mean of theirs, at any rate"},
    "adago": {**_OTHERS, "scheduled": "a step has at least the length eps"},
    "adamuon": _OTHERS,
    "apollodqn": {"scheduled": "its own warm-up begins at init_lr, at any rate"},
    "dadaptadagrad": {"scheduled": "weights follow from all gradients so far, each with the rate that it came with"},
    "dadaptadam": {"scheduled": _IN_MOMENTUM},
    "dadaptadan": {"scheduled": _IN_MOMENTUM},
    "dadaptsgd": {"scheduled": "weights are a mean of what the rate moves, and follow it later"},
    "fadam": {"fp64": "its means are of float32"},
    "ftrl": {"scheduled": "weights are computed anew from all gradients so far, divided by the rate"},
    "grokfastadamw": {"obeys": "it divides the rate by 1 + grokfast_lamb, unless normalize_lr is false"},
    "gsam": {"scheduled": _ROUNDED},
    "laprop": {"scheduled": _IN_MOMENTUM},
    "madgrad": {"scheduled": "weights follow from all gradients so far, each with the rate that it came with"},
    "nero": {"scheduled": "weights are put back on their sphere at every step, which rounds them"},
    "normuon": _OTHERS,
    "sara": {"descends": "it trains weights smaller than threshold, to go on from a trained model; a new one has hardly any"},
    "schedulefreeadamw": {"scheduled": _AVERAGE},
    "schedulefreesgd": {"scheduled": _AVERAGE},
    "schedulefreewrapper": {"scheduled": _AVERAGE},
    "splus": {"scheduled": _AVERAGE},
    "wsam": {"scheduled": _ROUNDED},
}
"""What an optimizer can't, by the check of weft's conformance suite, and why."""

LOSSES: dict[str, str] = {
    name.lower(): f"{_HERE}.losses:{name}"
    for name in _words("""
        BCEFocalLoss BCELoss BiTemperedLogisticLoss BinaryBiTemperedLogisticLoss DiceLoss FocalCosineLoss FocalLoss
        FocalTverskyLoss JaccardLoss LDAMLoss LovaszHingeLoss SoftF1Loss TverskyLoss
    """)
}
"""The losses."""

SCHEDULERS: dict[str, str] = {
    "chebyshev": f"{_HERE}.schedulers:chebyshev",
    "cosine_annealing_with_warmup": f"{_HERE}.schedulers:CosineAnnealingWarmupRestarts",
    "cosinescheduler": f"{_HERE}.schedulers:CosineScheduler",
    "linearscheduler": f"{_HERE}.schedulers:LinearScheduler",
    "poly": f"{_HERE}.schedulers:PolyScheduler",
    "rex": f"{_HERE}.schedulers:REXScheduler",
    "warmup_stable_decay": f"{_HERE}.schedulers:warmup_stable_decay",
}
"""The schedulers, as the library calls them; where weft has the name for something else, as their class is called."""
