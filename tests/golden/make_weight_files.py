"""Writes the small weight files and shape lists that tests/model reads.

    python tests/golden/make_weight_files.py        # with torch; writes beside itself

pth/*.pth come from the real torch.save, so that the reader is tested on what it will meet; every
value follows from the tensor's name and index (see tensors()), so that the tests need no second
copy. shapes_*.json list configuration and tensors of the official architecture as the oracle's
make_random_model.py makes them.
"""
import json
import pathlib
import sys

import torch

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "reference"))
import make_random_model  # noqa: E402


def count(*shape, dtype=torch.float32):
    """0, 1, 2, ... in row-major order."""
    return torch.arange(torch.Size(shape).numel()).to(dtype).reshape(shape)


def tensors() -> dict:
    shared = count(10)
    return {"f32": count(2, 3), "f16": count(4, dtype=torch.float16),
            "bf16": count(4, dtype=torch.bfloat16), "f64": count(2, dtype=torch.float64),
            "i64": count(3, dtype=torch.int64), "i32": count(3, dtype=torch.int32),
            "i16": count(3, dtype=torch.int16), "i8": count(3, dtype=torch.int8),
            "u8": count(3, dtype=torch.uint8), "bool": count(2, dtype=torch.bool),
            "scalar": torch.tensor(7.0), "empty": torch.zeros(0, 3),
            "transposed": count(3, 2).T, "head": shared[:4], "tail": shared[4:],
            "every_other": shared[1::2], "parameter": torch.nn.Parameter(count(2, 2))}


def write_pth():
    out = HERE / "pth"
    out.mkdir(exist_ok=True)
    torch.save(tensors(), out / "tensors.pth")
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(2, 3).state_dict(), out / "module.pth")  # OrderedDict, _metadata
    torch.save({"epoch": 3, "model": {"weight": count(2, 3)}}, out / "wrapped.pth")
    torch.save({"model": {"w": count(2)}, "module": {"w": count(2)}}, out / "ambiguous.pth")
    torch.save({"weight": count(2, 3), "epoch": 3}, out / "mixed.pth")
    torch.save({"weight": count(2, 3).expand(4, 2, 3)}, out / "expanded.pth")
    torch.save({"w": count(2, 3)}, out / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 3), out / "whole_module.pth")  # Pickled code: to be refused.
    torch.save({"weight": count(2, 3)}, out / "protocol4.pth", pickle_protocol=4)


def write_shapes():
    for name, (size, shared, l2) in {"d16": (256, False, True), "d16_512_shared": (512, True, True),
                                     "d16_plain": (256, False, False)}.items():
        config = make_random_model.config("hmar-d16", size, shared)
        config["transformer"]["attn_l2_norm"] = l2
        transformer = make_random_model.transformer_shapes(config)
        if not l2:  # Plain attention has no temperature.
            transformer = {n: s for n, s in transformer.items() if "scale_mul" not in n}
        tokenizer = make_random_model.tokenizer_shapes(config)
        text = json.dumps({"config": config, "transformer": transformer, "tokenizer": tokenizer})
        (HERE / f"shapes_{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    write_pth()
    write_shapes()
