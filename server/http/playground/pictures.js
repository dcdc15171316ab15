// Pictures: from bytes to what the page shows, and back.

/** Longest side of an upload that is sent as it is; larger ones are reduced here, to what no model sees the difference of. */
const MAX_SIDE = 2048;

/** A picture file: its bytes, what shows it, and its size in pixels. `url` lives until `release`. */
export class Picture {
  constructor(blob, width, height, name) {
    Object.assign(this, { blob, width, height, name, url: URL.createObjectURL(blob) });
  }

  release() {
    URL.revokeObjectURL(this.url);
  }
}

/** The picture of an hmar.preview or hmar.image event. */
export function pictureOf({ b64_json: base64, output_format: format = 'png', width, height }, name) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Picture(new Blob([bytes], { type: `image/${format}` }), width, height, `${name}.${format}`);
}

const ANY = null;
const SIGNATURES = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46, ANY, ANY, ANY, ANY, 0x57, 0x45, 0x42, 0x50]],
];

/** The type that a file's first bytes tell, whatever its name says; null: none that the server reads. */
async function typeOf(file) {
  const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  const matches = (signature) => signature.every((byte, i) => byte === ANY || byte === head[i]);
  return SIGNATURES.find(([, signature]) => matches(signature))?.[0] ?? null;
}

/** A user's file. Throws an Error whose message is a sentence for the user. */
export async function readUpload(file) {
  const type = await typeOf(file);
  if (type === null) throw new Error(`${file.name} is no picture that can be edited: choose a PNG, JPEG or WebP.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is damaged, or too large to be read: choose another picture.`);
  }
  try {
    if (Math.max(bitmap.width, bitmap.height) > MAX_SIDE) return await reduced(bitmap, file.name);
    return new Picture(new Blob([file], { type }), bitmap.width, bitmap.height, file.name);
  } finally {
    bitmap.close();
  }
}

async function reduced(bitmap, name) {
  const share = MAX_SIDE / Math.max(bitmap.width, bitmap.height);
  const canvas = whiteCanvas(Math.round(bitmap.width * share) || 1, Math.round(bitmap.height * share) || 1);
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const stem = name.replace(/\.[^.]*$/, '');
  return new Picture(await pngOf(canvas), canvas.width, canvas.height, `${stem}-${canvas.width}x${canvas.height}.png`);
}

function whiteCanvas(width, height) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = '#fff';  // What the server lays transparency over.
  context.fillRect(0, 0, width, height);
  return canvas;
}

/** A canvas as a PNG file. */
export const pngOf = (canvas) => new Promise((resolve, reject) => {
  canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The browser could not write a PNG.'))), 'image/png');
});

async function pixelsOf(picture) {
  const bitmap = await createImageBitmap(picture.blob);
  const canvas = whiteCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/**
 * How many pixels outside the region two pictures of one size have, and how many of these differ.
 * `generated(x, y)` says whether a pixel is in the region.
 */
export async function compareOutside(source, result, generated) {
  const [before, after] = await Promise.all([pixelsOf(source), pixelsOf(result)]);
  let outside = 0;
  let changed = 0;
  for (let i = 0; i < before.length; i += 4) {
    const pixel = i / 4;
    if (generated(pixel % source.width, Math.floor(pixel / source.width))) continue;
    outside += 1;
    if (before[i] !== after[i] || before[i + 1] !== after[i + 1] || before[i + 2] !== after[i + 2]) changed += 1;
  }
  return { outside, changed };
}
