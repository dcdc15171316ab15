"""A sheet of every class of a model, coarse to fine.

    python gallery.py [gallery.png]
"""
import sys

from hmar_client import Client
from PIL import Image

with Client() as client:
    model = client.model()
    sheets = [client.images(name, seed=1, previews="fast", model=model.name).sheet() for name in model.classes[:10]]

gallery = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), "white")
top = 0
for sheet in sheets:
    gallery.paste(sheet, (0, top))
    top += sheet.height
path = sys.argv[1] if len(sys.argv) > 1 else "gallery.png"
gallery.save(path)
print(path)
