"""How far the reference's decisions are from falling the other way, as they may in an engine that adds up in another order.

Decisions are draws (which token of the codebook a uniform number meets) and reopenings (which tokens are the least certain),
both measured in probability, and an encoder's nearest codebook vectors, in squared distance. fp32 sums in two orders differ by
less than 1e-5 of either.
"""
import contextlib

import torch

import ref

# What rounding may do to a sum of probabilities, and to a logit, that top-p and top-k compare.
TOP_P_SLACK = 1e-6
TOP_K_SLACK = 2e-5


def truncations(logits_V, top_k, top_p):
    """(top_k, top_p) of every truncation that rounding may make of this one."""
    ks = [top_k]
    if 0 < top_k < len(logits_V):
        ranked = logits_V.sort(descending=True).values
        if ranked[top_k - 1] - ranked[top_k] < TOP_K_SLACK:
            ks.append(top_k + 1)
        if top_k > 1 and ranked[top_k - 2] - ranked[top_k - 1] < TOP_K_SLACK:
            ks.append(top_k - 1)
    ps = [top_p] if top_p in (0, 1) else [top_p - TOP_P_SLACK, top_p, top_p + TOP_P_SLACK]
    return [(k, p) for k in ks for p in ps]


def draw_margins(logits_nV, r, tokens_n, u_n):
    """-> each draw's margin, (n,), and the confidences that rounding may give its token: least and most, (n,) each.

    A draw's margin is how far the uniform number, times the sum of all, lies inside its token's part of the running sum, under
    every truncation; negative where one of them draws another token.
    """
    margins, least, most = [], [], []
    for logits_V, token, u in zip(logits_nV / r.temperature, tokens_n.tolist(), u_n.tolist()):
        found, seen = [], []
        for top_k, top_p in truncations(logits_V, r.top_k, r.top_p):
            probs = ref.truncate(logits_V, top_k, top_p).double().softmax(-1)
            cdf = probs.cumsum(-1)
            found.append(min(u * cdf[-1] - (cdf[token] - probs[token]), cdf[token] - u * cdf[-1]).item())
            seen.append(probs[token].item())
        margins.append(min(found))
        least.append(min(seen))
        most.append(max(seen))
    return tuple(torch.tensor(values, dtype=torch.double) for values in (margins, least, most))


class Closest:
    """The least margin of the requests that ran, one at a time, while it watched."""

    def __init__(self):
        self.margin = 1.0
        self.still_open = None  # (n,): what the scale's next pass draws.

    def saw(self, r, logits_nV, scale, step, tokens_n, confidence_n):
        n = len(logits_nV)
        keep = None if r.keep is None else r.keep[scale]
        if step == 0:
            self.still_open = torch.ones(n, dtype=torch.bool) if keep is None else ~keep
        drawn = self.still_open.nonzero()[:, 0]
        if len(drawn) == 0:
            return
        u = ref.token_uniforms(r.seed, scale, step, n)
        margins, least, most = draw_margins(logits_nV[drawn], r, tokens_n[drawn], u[drawn])
        self.margin = min(self.margin, margins.min().item())
        left = ref.reopened(sum(r.mask_schedule[scale][step + 1:]), n, keep) if r.mask_schedule else 0
        order = confidence_n[drawn].argsort(stable=True)
        if 0 < left < len(drawn):
            stays, goes = least[order[left:]].min(), most[order[:left]].max()
            if stays < 1 or goes < 1:  # Else both were drawn from one token: the same anywhere, and taken by position.
                self.margin = min(self.margin, (stays - goes).item())
        self.still_open = torch.zeros(n, dtype=torch.bool).index_fill_(0, drawn[order[:left]], True)


@contextlib.contextmanager
def watch(model):
    """While it lasts, yields a Closest that watches model.draw."""
    closest, plain = Closest(), model.draw

    def draw(logits_BnV, requests, scale, step):
        tokens, confidence = plain(logits_BnV, requests, scale, step)
        for r, *row in zip(requests, logits_BnV, tokens, confidence):
            closest.saw(r, row[0], scale, step, row[1], row[2])
        return tokens, confidence

    model.draw = draw
    try:
        yield closest
    finally:
        model.draw = plain


def encode(tokenizer, image_13SS):
    """-> K token maps (n,), as tokenizer.encode, and their margin: how much farther the next codebook vector is."""
    gaps, plain = [], tokenizer.to_grid

    def to_grid(x_BZPP, scale):
        z = plain(x_BZPP, scale)
        distance = (z.reshape(-1, 1, tokenizer.Z) - tokenizer.codebook).square().sum(-1)
        nearest, next_one = distance.topk(2, -1, largest=False).values.unbind(-1)
        gaps.append((next_one - nearest).min().item())
        return z

    tokenizer.to_grid = to_grid
    try:
        return [tokens[0] for tokens in tokenizer.encode(image_13SS)], min(gaps)
    finally:
        tokenizer.to_grid = plain
