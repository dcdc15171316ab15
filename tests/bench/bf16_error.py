"""How far an engine's logits are from fp32, beside a plain bf16 forward of the reference.

    bf16_error.py MODEL_FOLDER LOGITS...      # each written by logits_dump for that model

Prints, for the plain bf16 forward and for each file, |logits - fp32| / |fp32| over all logits (norms), the worst pass, and how
often a draw with top-k and top-p of the model would take the same token. Needs torch; uses a GPU if there is one.
"""
import argparse
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "reference"))
from ref import Hmar, sample, truncate  # noqa: E402

CLASS, CFG = 3, 1.7


def forced_tokens(scale, n, vocabulary):
    i = np.arange(n, dtype=np.int64)
    return torch.from_numpy((7919 * scale + 104729 * i + 17) % 1000003 % vocabulary)


def passes(hmar, dtype):
    """Yields the logits (n, V) of every pass that logits_dump writes, computed in `dtype`."""
    device = torch.get_default_device()
    net, vq = hmar.net, hmar.tokenizer
    saved = dict(net.w)
    net.w = {name: w.to(dtype) if w.is_floating_point() else w for name, w in saved.items()}
    position_LC = net.position_LC.to(dtype)
    ids = torch.tensor([CLASS, net.null_class])
    cond = net.w["class_emb.weight"][ids]
    f_hat = torch.zeros(1, vq.Z, vq.P, vq.P)

    def forward(x, cond, top):
        torch.set_default_dtype(dtype)  # What the reference fills up with zeros has the default type.
        logits = net.logits(x, cond, top).float()
        torch.set_default_dtype(torch.float32)
        return logits

    first = 0
    for k, p in enumerate(hmar.patch_nums):
        n = p * p
        position = position_LC[first:first + n]
        first += n
        tokens = forced_tokens(k, n, vq.codebook.shape[0]).to(device)[None]
        coarse = hmar.embed(vq.to_grid(f_hat, k).to(dtype))
        if k == 0:
            x = cond[:, None] + net.w["pos_start"] + position
        else:
            x = (coarse + net.w["word_embed_bias"] + position).repeat(2, 1, 1)
        logits = forward(x, cond, "ns")
        t = CFG * k / (hmar.K - 1)
        yield ((1 + t) * logits[:1] - t * logits[1:])[0]
        contribution = vq.contribution(k, vq.look_up(tokens))
        if len(hmar.config["sampling"]["mask_schedule"][k]) > 1:
            masked = (torch.arange(n) % 2 == 0)[None, :, None]
            own = hmar.embed(vq.to_grid(contribution, k).to(dtype))
            own = torch.where(masked, net.w["mask_embed.weight"][0], own)
            x = coarse + own + net.w["word_embed_bias"] + position
            yield forward(x, cond[:1], "mask")[0]
        f_hat = f_hat + contribution
    net.w = saved


def report(name, got, wanted, hmar):
    s = hmar.config["sampling"]
    error = torch.cat([(a - b).flatten() for a, b in zip(got, wanted)]).norm() / torch.cat([b.flatten() for b in wanted]).norm()
    worst = max((a - b).norm() / b.norm() for a, b in zip(got, wanted))
    same = total = 0
    generator = torch.Generator(device=torch.get_default_device()).manual_seed(1)
    for a, b in zip(got, wanted):
        u = torch.rand(len(a), generator=generator)
        drawn = [sample(truncate(x, s["top_k"], s["top_p"]).softmax(-1), u) for x in (a, b)]
        same += (drawn[0] == drawn[1]).sum().item()
        total += len(a)
    print(f"{name:28s} relative error {error:.5f}, worst pass {worst:.5f}, same token drawn {100 * same / total:.1f} % of {total}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("logits", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    hmar = Hmar(arguments.model)  # It loads onto the CPU.
    torch.set_default_device(device)
    for part in (hmar.net, hmar.tokenizer):
        part.w = {name: w.to(device) for name, w in part.w.items()}
    hmar.net.position_LC = hmar.net.position_LC.to(device)
    hmar.tokenizer.codebook = hmar.tokenizer.codebook.to(device)
    with torch.no_grad():
        wanted = list(passes(hmar, torch.float32))
        report("plain bf16", list(passes(hmar, torch.bfloat16)), wanted, hmar)
        for path in arguments.logits:
            flat = torch.from_numpy(np.fromfile(path, dtype=np.float32)).to(device)
            sizes = [w.numel() for w in wanted]
            assert flat.numel() == sum(sizes), f"{path}: {flat.numel()} logits, wanted {sum(sizes)}"
            report(path.name, [part.view_as(w) for part, w in zip(flat.split(sizes), wanted)], wanted, hmar)


if __name__ == "__main__":
    main()
