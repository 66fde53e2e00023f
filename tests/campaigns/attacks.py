"""What strangers may write into declarations to make the pipeline run, read or tell what it should not."""

from __future__ import annotations

from typing import Any

from pipeline.declaration.composition import compose_sections
from pipeline.files import yaml_text

Sections = dict[str, Any]

PLAIN = compose_sections(["experiment=digits_lenet5", "augmentation=warp", "data=digits"])


def written(sections: Sections) -> str:
    return yaml_text(sections, width=1000)


# Attacks in the sections of a declaration.


def with_layers(*layers: Any) -> Sections:
    return {"model": {**PLAIN["model"], "layers": list(layers)}}


def with_module(name: Any, **arguments: Any) -> Sections:
    return with_layers({"module": name, **arguments})


def with_steps(*steps: Any) -> Sections:
    return {"augmentation": {**PLAIN["augmentation"], "steps": list(steps)}}


def with_mixing(node: Any) -> Sections:
    return {"augmentation": {**PLAIN["augmentation"], "mixing": node}}


TOUCH = {"args": ["touch", "trap/canary"]}
SECRET = "trap/secret.json"
OUTSIDE = [
    "subprocess.Popen",
    "os.system",
    "builtins.exec",
    "builtins.__import__",
    "importlib.import_module",
    "pickle.loads",
    "shutil.rmtree",
    "urllib.request.urlopen",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load_inline",
    "torch.classes.load_library",
    "trap_of_a_stranger.Evil",
    "trap_of_a_stranger.mine.task.Evil",
    ".os.system",
    "os.system ",
    "torch.nn..os",
    "os:system",
    "",
    None,
    3,
    ["os.system"],
    {"_target_": "os.system"},
]
FUNCTIONS = [
    "torch.nn.attention._fa4._fa4_import_module",
    "torch.nn.Module.__subclasses__",
    "torch.nn.Module.register_module",
    "torch.nn.init.torch.load",
    "torch.nn.functional.torch.hub.load",
    "torch.nn.utils.clip_grad_norm_",
    "torch.nn.modules.module.register_module_forward_hook",
    "torch.nn.modules.module.warnings.sys.exit",
    "torch.nn.parallel.data_parallel",
    "torch.nn.Parameter",
]
STEPS = [
    {"_target_": "albumentations.load", "filepath_or_buffer": SECRET},
    {"_target_": "albumentations.core.serialization.load", "filepath_or_buffer": SECRET},
    {"_target_": "albumentations.from_dict", "transform_dict": {}},
    {"_target_": "albumentations.check_version"},
    {"_target_": "albumentations.check_version.check_for_updates"},
    {"_target_": "albumentations.check_version.urllib.request.urlopen", "url": "http://example.com"},
    {"_target_": "albumentations.Compose.from_pretrained", "directory_or_repo_id": SECRET},
    {"_target_": "albumentations.core.hub_mixin.HubMixin"},
    {"_target_": "albumentations.Lambda", "image": "os.system"},
    {"_target_": "albumentations.core.transforms_interface.SerializableMeta"},
    {"_target_": "albumentations.FDA", "reference_images": [SECRET]},
    {"_target_": "albumentations.HistogramMatching", "reference_images": [SECRET]},
    {"_target_": "albumentations.PixelDistributionAdaptation", "reference_images": [SECRET]},
    {"_target_": "albumentations.augmentations.mixing.domain_adaptation.FDA", "reference_images": [SECRET]},
    {"_target_": "albumentations.TextImage", "font_path": SECRET},
    {
        "_target_": "albumentations.HorizontalFlip",
        "p": {"_target_": "os.system", "command": "touch trap/canary"},
    },
    {"_target_": "albumentations.OneOf", "transforms": [{"_target_": "os.system", "command": "true"}]},
    {"_target_": "albumentations.OneOrOther", "first": {"_target_": "subprocess.Popen", **TOUCH}},
    {"_target_": "albumentations.Sequential", "transforms": {"_target_": "os.system", "command": "true"}},
    {"_target_": "albumentations.Compose", "transforms": [], "bbox_params": {"_target_": "os.getcwd"}},
    {"_target_": "torch.nn.ReLU"},
    {"_target_": "torch.optim.SGD"},
]
ATTACKS: dict[str, Sections] = {
    **{f"module {name}": with_module(name, **TOUCH) for name in [*OUTSIDE, *FUNCTIONS]},
    **{
        f"{key} {name}": {key: {"_target_": name, **TOUCH}}
        for key in ("preprocess", "task", "optimizer", "scheduler")
        for name in ("subprocess.Popen", "os.system", "trap_of_a_stranger.mine.task.Evil", "torch.nn.Module.mro")
    },
    **{f"step {index} {step['_target_']}": with_steps(step) for index, step in enumerate(STEPS)},
    **{f"step {name}": with_steps({"_target_": name, **TOUCH}) for name in OUTSIDE},
    **{f"mixing {name}": with_mixing({"_target_": name, **TOUCH}) for name in OUTSIDE},
    "module below residual": with_layers({"residual": [{"module": "os.system", "command": "true"}]}),
    "module below branches": with_layers({"branches": [["relu"], [{"module": "os.system"}]]}),
    "module as activation": with_layers({"conv": 3, "activation": {"module": "os.system"}}),
    "module as norm": {"model": {**PLAIN["model"], "norm": {"module": "os.system"}}},
    "module in the encoder": {
        "model": {**PLAIN["model"], "layers": [], "encoder": {"layers": [{"module": "os.system"}]}}
    },
    "module in an argument": with_module("torch.nn.Identity", more={"module": "os.system"}),
    "target in an argument": {"optimizer": {**PLAIN["optimizer"], "lr": {"_target_": "os.system", "command": "true"}}},
    "target of another kind": {"optimizer": {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1}},
    "hook of optimizers": {"optimizer": {"_target_": "torch.optim.optimizer.register_optimizer_step_pre_hook"}},
    "scheduler is an optimizer": {"scheduler": {"_target_": "torch.optim.SGD", "lr": 0.1}},
    "preprocess reads": {"preprocess": {"_target_": "pipeline.transforms.statistics.Statistics.load", "x": "trap"}},
    "preprocess is private": {"preprocess": {"_target_": "pipeline.transforms.preprocess._Whiten"}},
    "task of torchmetrics": {
        "task": {"_target_": "torchmetrics.functional.text.bert._read_csv_from_url", "baseline_url": "http://example.com"}
    },
    "callback": {"task": {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": "trap"}},
    "partial": {"optimizer": {**PLAIN["optimizer"], "_partial_": True}},
    "args": {"optimizer": {**PLAIN["optimizer"], "_args_": ["x"]}},
    **{
        f"allows {prefix!r}": {"allowed_targets": [prefix], "optimizer": {"_target_": f"{prefix}system", "x": 1}}
        for prefix in ("os.", "o", "", "builtins.", "trap_of_a_stranger.", 3, None)
    },
    "allows by text": {"allowed_targets": "os.", "optimizer": {"_target_": "os.system"}},
    "format of data": {"data": {**PLAIN["data"], "format": "../../trap/trap_of_a_stranger"}},
    "format is a module": {"data": {**PLAIN["data"], "format": "os"}},
    "section of hydra": {"hydra": {"job": {"chdir": True}}},
    "steps are a mapping": {"augmentation": {**PLAIN["augmentation"], "steps": {"_target_": "os.system"}}},
    "layers are a mapping": {"model": {**PLAIN["model"], "layers": {"module": "os.system"}}},
    "model is a list": {"model": [{"module": "os.system"}]},
    "task is a list": {"task": [{"_target_": "os.system"}]},
}  # fmt: skip

# Attacks by what YAML can say.

TEXT = written(PLAIN)
LAUGHS = ", ".join(f"&l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))
TEXTS = {
    "object": f"{TEXT}x: !!python/object/apply:os.system ['touch trap/canary']\n",
    "name": f"{TEXT}x: !!python/name:os.system\n",
    "module": f"{TEXT}x: !!python/module:trap_of_a_stranger\n",
    "instance": "!!python/object/new:subprocess.Popen {args: [touch, trap/canary]}\n",
    "own tag": f"{TEXT}x: !evil y\n",
    "anchor inside itself": TEXT.replace("layers:", "layers: &a [*a]\n  more:"),
    "mapping inside itself": TEXT.replace("layers:", "layers: &a {residual: *a}\n  more:"),
    "laughs": TEXT.replace("seed: ", f"seed: [&l0 [a], {LAUGHS}] #"),
    "merge": f"{TEXT}<<: [*x]\n",
    "deep lists": f"{TEXT}x: {'[' * 20_000}",
    "deep mappings": f"{TEXT}x: {'{a: ' * 20_000}",
    "deep layers": TEXT.replace("layers:", f"layers: {'[{residual: ' * 400}[]{'}]' * 400}\n  more:"),
    "nulls": "\x00" * 100,
    "several documents": f"{TEXT}---\n{TEXT}",
    "date": TEXT.replace("seed: 0", "seed: 2026-01-01"),
    "set": TEXT.replace("seed: 0", "seed: !!set {a}"),
    "binary": TEXT.replace("seed: 0", "seed: !!binary aGVsbG8="),
    "key that is a list": f"{TEXT}? [a]\n: b\n",
    "number as key": TEXT.replace("optimizer:", "optimizer:\n  3: 4"),
    "infinity": TEXT.replace("seed: 0", "seed: .inf"),
    "huge number": TEXT.replace("seed: 0", f"seed: {'9' * 4000}"),
    "text": "just text",
    "empty": "",
}


# Attacks by the files of conf/.

CONF_TEXTS = {
    "env": "data: {licence: '${oc.env:A_SECRET}'}",
    "env in a name": "name: x${oc.env:A_SECRET}",
    "env by another name": "tracking: {experiment: 'oc.env'}\nname: '${${tracking.experiment}:A_SECRET}'",
    "env decoded": "name: \"${oc.decode:'${oc.env:A_SECRET}'}\"",
    "env created": "data: {licence: '${oc.create:\"a: ${oc.env:A_SECRET}\"}'}",
    "env as default": "name: '${oc.select:nothing,${oc.env:A_SECRET}}'",
    "env in a list": "data: {classes: ['${oc.env:A_SECRET}']}",
    "env in a space": "search: {name: x, space: {optimizer.lr: 'choice(${oc.env:A_SECRET},1)'}}",
    "folder": "name: '${hydra:runtime.cwd}'",
    "time": "name: '${now:%H}'",
    "callback": "hydra: {callbacks: {evil: {_target_: trap_of_a_stranger.Evil}}}",
    "log file": "hydra: {job_logging: {handlers: {f: {class: logging.FileHandler, filename: trap/canary}}}}",
    "logging class": "hydra: {hydra_logging: {handlers: {f: {'()': os.system, command: touch trap/canary}}}}",
    "environment": "hydra: {job: {env_set: {PYTHONPATH: trap}}}",
    "copied environment": "hydra: {job: {env_copy: [A_SECRET]}}",
    "folder of runs": "hydra: {run: {dir: /tmp/elsewhere}}",
    "folder of sweeps": "hydra: {sweep: {dir: /tmp/elsewhere}}",
    "launcher": "hydra: {launcher: {_target_: subprocess.Popen, args: [touch, trap/canary]}}",
    "setup of a launcher": "hydra: {launcher: {setup: [touch trap/canary]}}",
    "sweeper": "hydra: {sweeper: {_target_: subprocess.Popen}}",
    "search path": "hydra: {searchpath: ['file://trap']}",
    "escaped key": '"\\x68ydra": {mode: MULTIRUN}',
    "aliased key": "name: &h hydra\n*h : {mode: MULTIRUN}",
    "help": "defaults: [override /hydra/help: default]",
    "logging option": "defaults: [override /hydra/hydra_logging: default]",
    "callbacks option": "defaults: [/hydra/callbacks: evil]",
    "package": "defaults: [/data@hydra.job.env_set: digits]",
    "package of a name": "defaults: [/data@_name_: hydra]",
    "absolute file": "defaults: [/model: /etc/passwd]",
    "file above": "defaults: [../../trap/secret]",
    "file by scheme": "defaults: ['file:///etc/passwd']",
    "package by scheme": "defaults: ['pkg://trap_of_a_stranger/evil']",
    "option above": "defaults: [{/model: ../../trap/secret}]",
    "option by interpolation": "defaults: [{/model: '${oc.env:A_SECRET}'}]",
    "list of options": "defaults: [{/model: [lenet5, ../x]}]",
    "object": "x: !!python/object/apply:os.system ['touch trap/canary']",
    "key twice": "seed: 1\nseed: 2",
    "inside itself": "model: &a {layers: [*a]}",
    "deep": f"model: {'[' * 3000}",
    "space of hydra": "search: {name: x, space: {hydra.job.chdir: 'choice(true,false)'}}",
    "space of a module": "search: {name: x, space: {model.layers: 'choice([{module: os.system}],[relu])'}}",
    "space of a target": "search: {name: x, space: {optimizer._target_: 'choice(os.system,torch.optim.SGD)'}}",
    "space on a condition": (
        "search: {name: x, space: {model.width: 'choice(0.5,1.0)', "
        "hydra.job.chdir: {draw: 'choice(true,false)', when: model.width=0.5}}}"
    ),
    "space of options": "search: {name: x, space: {model: 'choice(../../trap/secret,lenet5)'}}",
    "space of launchers": "search: {name: x, space: {hydra/launcher: 'choice(basic,joblib)'}}",
    "space of packages": "search: {name: x, space: {'model@hydra.job': 'choice(lenet5,unet)'}}",
}
