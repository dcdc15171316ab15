"""Writes tests/golden/: what the reference (ref.py) computes, for tests that run without Python's torch.

    make_goldens.py     # needs torch (deploy/setup.sh --oracle); minutes

For each model NAME.json holds requests with the tokens of their images and the stages' inputs; NAME.bin holds fp32 arrays
back to back, which NAME.json names with offset and shape. Weights of the tiny models are not stored: make_random_model.py
gives the same bytes again, and the options it was called with stand in NAME.json.

What an image comes to must not depend on the order in which a machine adds up. So no golden rests on a decision closer to a tie
than MARGIN: a seed whose image does is refused, and another is tried in its place.
"""
import dataclasses
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

import margins
import ref

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "golden"
BUNDLED = HERE.parent.parent / "deploy" / "models" / "hmar-cifar10"
QUALITY = [[1], [1, 3], [3, 6], [5, 11], [8, 17], [12, 24], [20, 44]]
ONE_PASS = [[1], [4], [9], [16], [25], [36], [64]]
MARGIN = 1e-5  # See margins.py.
TRIES = 200


class Arrays:
    def __init__(self):
        self.index, self.bytes = {}, b""

    def add(self, name, array):
        array = np.ascontiguousarray(np.asarray(array), np.float32)
        self.index[name] = {"offset": len(self.bytes), "shape": list(array.shape)}
        self.bytes += array.tobytes()


def digits(keep):
    return "".join("1" if kept else "0" for kept in keep.flatten().tolist())


def request_json(r, **extra):
    if r.keep is not None:
        extra.update(keep=[digits(k) for k in r.keep], given=[g.tolist() for g in r.given])
    return {"class_id": r.class_id, "seed": r.seed, "cfg": r.cfg, "top_k": r.top_k, "top_p": r.top_p,
            "temperature": r.temperature, "mask_schedule": r.mask_schedule,
            "prefix": [p.tolist() for p in r.prefix], "tokens": [t.tolist() for t in r.tokens], **extra}


def far_from_ties(seed, attempt):
    """The result of attempt(seed), or of the first seed near it whose margin will do. attempt -> (result, margin)."""
    for i in range(TRIES):
        result, margin = attempt(seed ^ i)
        if margin >= MARGIN:
            return result
        print(f"  seed {seed ^ i} refused: a decision is {margin:.1e} from a tie")
    sys.exit(f"none of {TRIES} seeds from {seed} on has all its decisions {MARGIN} from a tie: draw from fewer tokens")


def generate(hmar, r):
    """Runs a request, if need be with another seed. -> The request as it was run, f_hat."""
    def attempt(seed):
        again = dataclasses.replace(r, seed=seed, tokens=[])
        with margins.watch(hmar) as closest:
            f_hat = hmar.generate([again])
        return (again, f_hat), closest.margin

    return far_from_ties(r.seed, attempt)


def image_json(hmar, r):
    """Runs one request and records its tokens and the sum of its pixels."""
    r, f_hat = generate(hmar, r)
    pixels = hmar.image(f_hat)[0].numpy()
    print("  image", r.class_id, r.seed, pixels.mean(), flush=True)
    return request_json(r, rgb_sum=int(pixels.astype(np.int64).sum())), pixels


def bundled_requests(hmar):
    yield hmar.request(3, 7)
    yield hmar.request(0, 2**64 - 1)
    yield hmar.request(8, 123456789012, cfg=3.5, top_k=50, top_p=0.9)
    yield hmar.request(None, 5)
    yield hmar.request(1, 11, mask_schedule=QUALITY)
    yield hmar.request(9, 12, mask_schedule=ONE_PASS, cfg=0.0, top_k=0, top_p=1.0)
    yield hmar.request(6, 13, temperature=0.5, top_k=1024)
    yield hmar.request(2, 14, temperature=1.7, top_p=0.5, mask_schedule=QUALITY)
    yield hmar.request(5, 15, top_k=1)
    first = hmar.request(4, 16)
    hmar.generate([first])
    yield hmar.request(4, 17, prefix=first.tokens[:4])


def region_cells(hmar, region):
    """Which cells of the last grid a region of pixels (S, S) keeps: those without a pixel of it."""
    P = hmar.patch_nums[-1]
    cell = region.shape[0] // P
    return ~torch.from_numpy(region).view(P, cell, P, cell).any(3).any(1)


def edit_regions(S):
    """Names and regions of pixels: boxes, a ragged mask, keep boxes, everything, nothing, one pixel, two islands."""
    y, x = np.mgrid[:S, :S] / S
    box = lambda x0, y0, x1, y1: (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)
    yield "box", box(0.25, 0.25, 0.75, 0.75)
    yield "ragged", (x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.08 + 0.04 * np.sin(9 * np.arctan2(y - 0.4, x - 0.6))
    yield "keep box", ~box(0.25, 0.0, 0.8, 0.7)
    yield "all", np.ones((S, S), bool)
    yield "none", np.zeros((S, S), bool)
    yield "pixel", (np.arange(S)[:, None] == S - 3) & (np.arange(S)[None] == 1)
    yield "islands", box(0.0, 0.0, 0.2, 0.3) | box(0.7, 0.6, 1.0, 0.9)


def source(hmar, class_id, seed):
    """A picture of the model's own, as pixels (S, S, 3), and its tokens."""
    def attempt(seed):
        pixels = hmar.image(hmar.generate([hmar.request(class_id, seed)]))
        tokens, margin = margins.encode(hmar.tokenizer, pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
        return (pixels[0].numpy(), tokens), margin

    return far_from_ties(seed, attempt)


def edits_json(hmar, options, arrays=None):
    """An image for each region that `options` names, with these options; sources are two pictures of the model's own."""
    S, sources = hmar.config["image_size"], []
    for i in range(2):
        pixels, tokens = source(hmar, i, 50 + i)
        sources.append(tokens)
        if arrays is not None:
            arrays.add(f"source_{i}", pixels)
    images = []
    for i, (name, region) in enumerate(edit_regions(S)):
        if name not in options:
            continue
        keep = ref.keep_maps(region_cells(hmar, region), hmar.patch_nums)
        r = hmar.request(None if i % 2 else i, 60 + i, **options[name], keep=keep, given=sources[i % 2])
        document, _ = image_json(hmar, r)
        if arrays is not None:
            document.update(source=f"source_{i % 2}", region=digits(region))
        images.append(document)
    return images


def record_stages(hmar, arrays):
    """Each stage of one image by itself: embeddings and logits of every pass, feature map, decoder, draws, encoder."""
    r, f_hat = generate(hmar, hmar.request(7, 99))
    r.tokens = []
    inputs, stages = [], {"request": None, "passes": []}
    plain_logits = hmar.net.logits

    def logits(x, cond, top):
        inputs.append(x)
        return plain_logits(x, cond, top)

    def on_logits(scale, step, guided):
        if scale <= 3:
            arrays.add(f"embed_{scale}_{step}", inputs[-1][0])
            arrays.add(f"logits_{scale}_{step}", guided[0])
        stages["passes"].append([scale, step])

    def on_scale(scale, f_hat):
        if scale in (0, 2, hmar.K - 1):
            arrays.add(f"f_hat_{scale}", f_hat[0])

    hmar.net.logits = logits
    f_hat = hmar.generate([r], on_scale, on_logits)
    hmar.net.logits = plain_logits
    stages["request"] = request_json(r)
    image = hmar.tokenizer.decode(f_hat)
    arrays.add("decoded", image[0])
    encoded, margin = margins.encode(hmar.tokenizer, image)
    assert margin >= MARGIN, margin
    stages["encoded"] = [t.tolist() for t in encoded]
    stages["masked"] = record_mask_states(hmar, r)
    stages["draws"] = record_draws(hmar, arrays.index["logits_3_0"], arrays)
    return stages


def record_mask_states(hmar, r):
    """Before each mask pass: the scale's tokens so far and which are open."""
    states, plain_put, plain_draw = [], hmar.put_back_kept, hmar.draw
    again = hmar.request(r.class_id, r.seed)
    state = {}

    def draw(logits, requests, scale, step):
        tokens, confidence = plain_draw(logits, requests, scale, step)
        if step == 0:
            state.update(tokens=tokens[0].clone(), open=torch.ones(tokens.shape[1], dtype=torch.bool))
        else:
            state["tokens"] = torch.where(state["open"], tokens[0], state["tokens"])
        left = sum(again.mask_schedule[scale][step + 1:])
        if left:
            candidates = state["open"].nonzero()[:, 0]
            order = confidence[0][candidates].argsort(stable=True)[:left]
            state["open"] = torch.zeros_like(state["open"]).index_fill_(0, candidates[order], True)
            states.append({"scale": scale, "step": step + 1, "tokens": state["tokens"].tolist(),
                           "open": state["open"].int().tolist()})
        return tokens, confidence

    hmar.draw = draw
    hmar.generate([again])
    hmar.draw, hmar.put_back_kept = plain_draw, plain_put
    assert all(torch.equal(a, b) for a, b in zip(again.tokens, r.tokens))
    return states


def record_draws(hmar, where, arrays):
    """Draws from the recorded logits under many truncations: tokens and confidences."""
    n, V = where["shape"]
    data = np.frombuffer(arrays.bytes, np.float32, n * V, where["offset"]).reshape(1, n, V)
    draws = []
    for i, (top_k, top_p, temperature) in enumerate([(0, 1.0, 1.0), (600, 0.97, 1.0), (1, 1.0, 1.0), (50, 0.5, 1.0),
                                                     (0, 0.9, 2.0), (1023, 0.999, 0.7), (1024, 0.05, 1.0), (7, 0.97, 3.0)]):
        def attempt(seed):
            r = hmar.request(0, seed, top_k=top_k, top_p=top_p, temperature=temperature)
            logits = torch.from_numpy(data.copy())
            tokens, confidence = hmar.draw(logits, [r], 3, i)
            margin, _, _ = margins.draw_margins(logits[0], r, tokens[0], ref.token_uniforms(seed, 3, i, n))
            return {"seed": seed, "scale": 3, "step": i, "top_k": top_k, "top_p": top_p, "temperature": temperature,
                    "tokens": tokens[0].tolist(), "confidence": confidence[0].tolist()}, margin.min().item()

        draws.append(far_from_ties(1000 + i, attempt))
    return draws


def write(name, document, arrays):
    document["arrays"] = arrays.index
    (GOLDEN / f"{name}.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")
    if arrays.bytes:
        (GOLDEN / f"{name}.bin").write_bytes(arrays.bytes)


def bundled():
    hmar, arrays, images = ref.Hmar(BUNDLED), Arrays(), []
    for i, r in enumerate(bundled_requests(hmar)):
        document, pixels = image_json(hmar, r)
        arrays.add(f"rgb_{i}", pixels)
        images.append(document)
    first = hmar.request(4, 16)
    hmar.generate([first])
    images += edits_json(hmar, {"box": {}, "ragged": dict(mask_schedule=QUALITY), "keep box": dict(mask_schedule=ONE_PASS),
                                "all": dict(mask_schedule=QUALITY, temperature=1.3), "none": {}, "pixel": {},
                                "islands": dict(mask_schedule=QUALITY, cfg=3.0, prefix=first.tokens[:3])}, arrays)
    write("hmar-cifar10", {"images": images, "stages": record_stages(hmar, arrays)}, arrays)


# Options of make_random_model.py, and requests. Of a thousand draws from hundreds of tokens one is close to a tie, whatever the
# seed: these draw from fewer.
TINY = {
    "tiny-256": ([], [dict(class_id=4, seed=21, top_k=100),
                      dict(class_id=None, seed=22, top_k=0, top_p=0.6, temperature=0.9)]),
    "tiny-256-shared": (["--shared-aln", "--dtype", "fp16", "--seed", "3"], [dict(class_id=19, seed=23, cfg=4.0, top_k=100)]),
    "tiny-256-plain": (["--plain-attention", "--dtype", "bf16", "--seed", "4"], [dict(class_id=0, seed=24, top_k=100)]),
    "tiny-512": (["--image-size", "512", "--seed", "5"], [dict(class_id=7, seed=25, top_k=20)]),
}
TINY_EDITS = {"ragged": dict(top_k=50), "keep box": dict(top_k=20), "islands": dict(top_k=100)}


def tiny(name, options, requests):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, HERE / "make_random_model.py", folder, *options], check=True)
        digests = {f: hashlib.sha256((pathlib.Path(folder) / f"{f}.safetensors").read_bytes()).hexdigest()
                   for f in ("hmar", "vqvae")}
        hmar, images, arrays = ref.Hmar(folder), [], Arrays()
        for i, r in enumerate(requests):
            document, pixels = image_json(hmar, hmar.request(**r))
            images.append(document)
            side = pixels.shape[0] // 8  # A coarse picture is enough: tokens fix the rest.
            arrays.add(f"rgb8_{i}", pixels.reshape(8, side, 8, side, 3).mean((1, 3)))
        if name in ("tiny-256", "tiny-512"):
            images += edits_json(hmar, TINY_EDITS)
        write(name, {"options": options, "sha256": digests, "images": images}, arrays)


def keep_maps():
    """Keep maps of random cells for grids of every kind: {"patch_nums", "cells", "keep"}, digits 1 where kept."""
    generator, cases = np.random.default_rng(5), []
    for patch_nums in ([1, 2, 3, 4, 5, 6, 8, 10, 13, 16], [1, 2, 3, 4, 6, 9, 13, 18, 24, 32], [1, 2, 3, 4, 5, 6, 8], [2, 3, 5, 7],
                       [1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 48, 64]):
        P = patch_nums[-1]
        for share in (0.2, 0.5, 0.8):
            cells = torch.from_numpy(generator.random((P, P)) < share)
            keep = ref.keep_maps(cells, patch_nums)
            cases.append({"patch_nums": patch_nums, "cells": digits(cells), "keep": [digits(k) for k in keep]})
    (GOLDEN / "keep-maps.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ["keep-maps", "hmar-cifar10", *TINY]
    for name in wanted:
        print(name)
        if name == "keep-maps":
            keep_maps()
        else:
            bundled() if name == "hmar-cifar10" else tiny(name, *TINY[name])
