"""Makes a picture, then its middle anew, four times; all other pixels stay.

    python inpainting.py [inpainting.png]
"""
import sys

from hmar_client import Client
from PIL import Image, ImageDraw

with Client() as client:
    picture = client.images("ship", seed=7)[0].picture
    side = picture.width
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((side // 4, side // 4, 3 * side // 4, 3 * side // 4), fill=255)
    edits = client.edit(picture, "ship", mask=mask, n=4, seed=1)

strip = Image.new("RGB", (side * 5, side))
for place, each in enumerate([picture, *(edit.picture for edit in edits)]):
    strip.paste(each, (place * side, 0))
path = sys.argv[1] if len(sys.argv) > 1 else "inpainting.png"
strip.resize((strip.width * 4, strip.height * 4), Image.Resampling.NEAREST).save(path)
print(path)
