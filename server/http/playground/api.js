// The server's HTTP API: what is sent, and what comes back as an error.
import { eventsOf } from './event_stream.js';

const KEY = 'hmar-key';

/** A request that failed. `status` is 0 where no server answered; `retryAfter` in seconds, or null. */
export class ApiError extends Error {
  constructor(status, { message, reason, violations, retry_after: retryAfter, request_id: requestId } = {}) {
    super(message || (status ? `The server answered with status ${status}.` : 'The server cannot be reached.'));
    this.status = status;
    this.reason = reason ?? '';
    this.violations = violations ?? [];
    this.retryAfter = retryAfter ?? null;
    this.requestId = requestId ?? '';
  }
}

/** Speaks to the server that this page came from. `askForKey(error)` resolves to a key, or to null: then the 401 stands. */
export class Api {
  #askForKey;

  constructor(askForKey) {
    this.#askForKey = askForKey;
  }

  /** Whether this tab has a key for the server. */
  get hasKey() {
    return sessionStorage.getItem(KEY) !== null;
  }

  /** The models, the default one first. Throws ApiError. */
  async models() {
    const response = await this.#send('/v1/models', {});
    const models = (await response.json()).data.map(({ id, hmar }) => ({ id, ...hmar }));
    return models.sort((a, b) => Boolean(b.is_default) - Boolean(a.is_default));
  }

  /**
   * Draws: yields the events of `events=hmar` up to hmar.completed. Throws ApiError, also for an `error` event and for a
   * stream that ends early; an AbortError once `signal` is aborted, which cancels the call.
   */
  async* draw(recipe, signal) {
    const response = await this.#send(pathOf(recipe), { method: 'POST', signal, body: () => bodyOf(recipe) });
    for await (const event of this.#lasting(response)) {
      if (event.type === 'error') throw new ApiError(response.status, event.error);
      yield event;
      if (event.type === 'hmar.completed') return;
    }
    throw new ApiError(0, { message: 'The connection ended before the last picture.' });
  }

  /** A stream's events; where its connection breaks, an ApiError. */
  async* #lasting(response) {
    try {
      yield* eventsOf(response.body);
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ApiError(0, { message: 'The connection broke before the last picture.' });
    }
  }

  async #send(path, { body, ...init }) {
    for (;;) {
      const response = await fetchFrom(path, { ...init, ...body?.() });
      if (response.ok) return response;
      const error = await errorOf(response);
      const key = response.status === 401 ? await this.#askForKey(error) : null;
      if (key === null) throw error;
      sessionStorage.setItem(KEY, key);
    }
  }
}

async function fetchFrom(path, init) {
  const key = sessionStorage.getItem(KEY);
  const headers = { ...init.headers, ...(key && { authorization: `Bearer ${key}` }) };
  try {
    return await fetch(path, { ...init, headers, cache: 'no-store', credentials: 'omit' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0);
  }
}

async function errorOf(response) {
  const { error } = await response.json().catch(() => ({}));
  const header = Number(response.headers.get('retry-after')) || null;
  return new ApiError(response.status, {
    ...error,
    retry_after: error?.retry_after ?? header,
    request_id: error?.request_id ?? response.headers.get('x-request-id'),
  });
}

const pathOf = (recipe) => (recipe.edit ? '/v1/images/edits' : '/v1/images/generations');

/** What a recipe asks for, as the API's fields: a number, a string, or lists. */
export function fieldsOf({ settings, prefix, edit }) {
  const { class: target, ...rest } = settings;
  const region = edit?.region ?? {};
  return {
    ...(target !== '' && { prompt: target }),
    ...rest,
    ...(prefix && { prefix }),
    ...(region.box && { [region.keep ? 'keep_box' : 'box']: boxText(region.box) }),
    ...(edit?.resize && { resize: edit.resize }),
    ...(edit?.feather && { feather: edit.feather }),
  };
}

/** "x0,y0,x1,y1", as the API and `hmar` take boxes. */
export const boxText = ({ x0, y0, x1, y1 }) => [x0, y0, x1, y1].join(',');

function bodyOf(recipe) {
  const fields = { ...fieldsOf(recipe), return_tokens: true, receipt: true, stream: true, events: 'hmar' };
  if (!recipe.edit) {
    return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(fields) };
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    form.append(name, Array.isArray(value) ? JSON.stringify(value) : String(value));
  }
  form.append('image', recipe.edit.source.blob, recipe.edit.source.name);
  if (recipe.edit.region.mask) form.append('mask_white', recipe.edit.region.mask, 'mask.png');
  return { body: form };
}
