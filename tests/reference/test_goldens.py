"""Goldens are what the reference still draws, and none rests on a near tie. Skipped where Python has no torch."""
import json
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

import margins  # noqa: E402
import ref  # noqa: E402
from make_goldens import BUNDLED, GOLDEN, HERE, MARGIN  # noqa: E402

# The margin itself is a sum, which another machine takes in another order.
LEAST = MARGIN / 2


def request(image):
    """The request of a golden's image."""
    fields = {name: image[name] for name in ("class_id", "seed", "cfg", "top_k", "top_p", "temperature", "mask_schedule")}
    if "keep" in image:
        fields["keep"] = [torch.tensor([digit == "1" for digit in digits]) for digits in image["keep"]]
        fields["given"] = [torch.tensor(tokens) for tokens in image["given"]]
    return ref.Request(prefix=[torch.tensor(tokens) for tokens in image["prefix"]], **fields)


@pytest.mark.parametrize("path", sorted(path for path in GOLDEN.glob("*.json") if "images" in json.loads(path.read_text())),
                         ids=lambda path: path.stem)
def test_is_what_the_reference_draws_and_rests_on_no_near_tie(path, tmp_path):
    golden = json.loads(path.read_text())
    folder = BUNDLED
    if "options" in golden:
        folder = tmp_path
        subprocess.run([sys.executable, HERE / "make_random_model.py", folder, *golden["options"]], check=True)
    model = ref.open_model(folder)
    images = golden["images"] if folder == BUNDLED else golden["images"][:1]  # Of the others one will do: they take long.
    for i, image in enumerate(images):
        r = request(image)
        with margins.watch(model) as closest:
            model.generate([r])
        assert [tokens.tolist() for tokens in r.tokens] == image["tokens"], f"image {i}"
        assert closest.margin >= LEAST, f"image {i} rests on a decision {closest.margin:.1e} from a tie"
