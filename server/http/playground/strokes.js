// A mask as the strokes that made it: whole pixels, no smoothing, so that what is shown is what is sent.

/** The colour of a region on the canvas; the style sheet makes it see-through. */
export const REGION_COLOUR = '#e0218a';

/** Paints, or erases, the pixels of a disc: `size` pixels wide, its centre nearest to (x, y). */
function stamp(context, { erase, size }, x, y) {
  const radius = size / 2;
  const snap = size % 2 === 1 ? (value) => Math.floor(value) + 0.5 : Math.round;
  const [cx, cy] = [snap(x), snap(y)];
  for (let row = Math.floor(cy - radius); row < cy + radius; row += 1) {
    const half = Math.sqrt(Math.max(0, radius ** 2 - (row + 0.5 - cy) ** 2));
    const from = Math.ceil(cx - half - 0.5);
    const width = Math.floor(cx + half - 0.5) - from + 1;
    if (width > 0) context[erase ? 'clearRect' : 'fillRect'](from, row, width, 1);
  }
}

/** Paints a stroke ({erase, size, points: [[x, y], ...]}, in pixels) from its point `from` on. */
export function paintStroke(context, stroke, from = 0) {
  context.fillStyle = REGION_COLOUR;
  const { points } = stroke;
  for (let i = Math.max(from, 1); i < points.length; i += 1) {
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    const steps = Math.ceil(Math.hypot(x1 - x0, y1 - y0) / Math.max(0.5, stroke.size / 4)) || 1;
    for (let step = 1; step <= steps; step += 1) {
      stamp(context, stroke, x0 + ((x1 - x0) * step) / steps, y0 + ((y1 - y0) * step) / steps);
    }
  }
  if (from === 0 && points.length > 0) stamp(context, stroke, ...points[0]);
}
