"""What margins.py calls close. Skipped where Python has no torch."""
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

import margins  # noqa: E402
import ref  # noqa: E402


class Sampler:
    """A model as far as a scale's draws: the logits of its passes are given."""

    def __init__(self, *passes):
        self.passes = [torch.tensor(p).log() for p in passes]

    def draw(self, logits_BnV, requests, scale, step):
        return ref.Model.draw(self, logits_BnV, requests, scale, step)

    def margin(self, schedule, monkeypatch, u=0.5, **sampling):
        monkeypatch.setattr(ref, "token_uniforms", lambda seed, scale, step, n: torch.full((n,), u, dtype=torch.double))
        r = ref.Request(0, 0, 0.0, **({"top_k": 0, "top_p": 1.0} | sampling), mask_schedule=[schedule])
        with margins.watch(self) as closest:
            for step, logits in enumerate(self.passes):
                self.draw(logits[None], [r], 0, step)
        return closest.margin


def test_a_draws_margin_is_its_distance_from_the_next_token(monkeypatch):
    sampler = Sampler([[0.25, 0.25, 0.5]])
    assert sampler.margin([1], monkeypatch, u=0.3) == pytest.approx(0.05)
    assert sampler.margin([1], monkeypatch, u=0.5 + 4e-7) == pytest.approx(4e-7, abs=1e-7)
    assert sampler.margin([1], monkeypatch, u=0.9) == pytest.approx(0.1)


def test_a_truncation_that_rounding_may_change_counts(monkeypatch):
    # At 0.8 both tokens of 0.1 fall away; a little above it one stays, and the target lies in another token.
    sampler = Sampler([[0.1, 0.1, 0.4, 0.4]])
    assert sampler.margin([1], monkeypatch, u=0.45, top_p=0.85) > 0.01
    assert sampler.margin([1], monkeypatch, u=0.51, top_p=0.8) < 0
    # Rounding may take one token of 0.2 for the other, or keep both.
    assert Sampler([[0.3, 0.2, 0.22, 0.28]]).margin([1], monkeypatch, u=0.4, top_k=3) > 0.02
    assert Sampler([[0.3, 0.2, 0.2 + 1e-6, 0.3]]).margin([1], monkeypatch, u=0.4, top_k=3) < 0


def test_a_reopenings_margin_is_between_the_last_that_goes_and_the_first_that_stays(monkeypatch):
    assert Sampler([[0.9, 0.1], [0.7, 0.3], [0.69, 0.31]]).margin([2, 1], monkeypatch) == pytest.approx(0.01)
    # Drawn from one token each, they are equally certain anywhere, and go by position.
    assert Sampler([[1.0, 0.0]] * 3).margin([2, 1], monkeypatch) == pytest.approx(0.5)


def test_an_encoders_margin_is_how_much_farther_the_next_vector_is():
    tokenizer = ref.Tokenizer.__new__(ref.Tokenizer)
    tokenizer.K, tokenizer.Z, tokenizer.patch_nums = 1, 1, [1]
    tokenizer.codebook = torch.tensor([[0.0], [1.0], [4.0]])
    tokenizer.encoder = lambda image: image
    tokenizer.contribution = lambda scale, h: h
    tokens, margin = margins.encode(tokenizer, torch.full((1, 1, 1, 1), 0.4))
    assert tokens[0].tolist() == [0]
    assert margin == pytest.approx(0.36 - 0.16)
