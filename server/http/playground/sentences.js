// What people read: times, counts, and errors as sentences with what to do about them.

/** "4 pictures", "1 picture". */
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** Seconds as people say them: "80 ms", "1.2 s", "45 s", "3 min". */
export function duration(seconds) {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return seconds < 99.5 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** A protobuf duration of a receipt ("0.093s"), or a number, in seconds. */
export const secondsOf = (value) => Number.parseFloat(value ?? 0) || 0;

const FIELD_NAMES = {
  model: 'Model', class: 'Class', prompt: 'Class', seed: 'Seed', n: 'Pictures', num_images: 'Pictures', cfg_scale: 'Guidance',
  top_k: 'Top k', top_p: 'Top p', temperature: 'Temperature', mask_schedule: 'Schedule', max_scales: 'End after scales',
  priority: 'Priority', timeout: 'Deadline', box: 'Box', keep_box: 'Box', mask: 'Mask', mask_white: 'Mask', image: 'Picture',
  feather: 'Feather', resize: 'Fit the picture', prefix: 'Scales to keep', class_name: 'Class', class_id: 'Class',
};

/** A field as the page labels it; as the server names it where the page has none. */
export const fieldName = (path) => FIELD_NAMES[path.split(/[.[]/).filter((part) => part in FIELD_NAMES).pop()] ?? path;

/** An error's text as a sentence: begun by a capital, closed by a full stop, its leading field named as the page names it. */
export function sentence(text) {
  const named = text.trim().replace(/^[a-z_][\w.[\]]*(?=: )/, fieldName);
  if (named === '') return '';
  const begun = named[0].toUpperCase() + named.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

const ADVICE = {
  UNKNOWN_CLASS: 'Choose one from the list of classes.',
  MODEL_NOT_FOUND: 'Reload the page to see which models there are.',
  MODEL_NOT_ALLOWED: 'Choose another model, or ask who runs the server.',
  PRIORITY_NOT_ALLOWED: 'Choose a lower priority, in the advanced part.',
  IMAGE_INVALID: 'Choose another file, or save it anew as PNG.',
  IMAGE_SIZE_MISMATCH: 'Choose how to fit the picture.',
  DEADLINE_EXCEEDED: 'Give it more time, or ask for fewer pictures.',
  DEADLINE_UNREACHABLE: 'Give it more time, or let it end early.',
  CLIENT_TOO_SLOW: 'Ask for fewer pictures, or for no previews.',
  OUT_OF_MEMORY: 'Ask for fewer pictures at once.',
  QUOTA_IMAGES: 'Your key has drawn what it may for now.',
  KEY_EXPIRED: 'Ask who runs the server for a new one.',
};

/** What to do about an ApiError, in a sentence; empty where its own message says it. */
export function advice(error) {
  if (error.reason in ADVICE) return ADVICE[error.reason];
  if (error.status === 0) return 'Check that it runs and that you are connected, then try again.';
  if (error.status === 400) return 'Change it and draw again.';
  if (error.status === 413) return 'Choose a smaller file.';
  if (error.retryAfter !== null) return 'The server has much to do.';
  if (error.status === 503) return 'Try again in a while.';
  if (error.status >= 500) return `It is not your fault. Tell who runs the server${error.requestId && `: request ${error.requestId}`}.`;
  return '';
}
