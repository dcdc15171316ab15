// Server-sent events of a fetch: EventSource can neither POST nor send a key.

/** Takes an event stream's text in pieces of any size, gives its events' data. A line may be long, so none is searched twice. */
class EventParser {
  #line = [];
  #data = [];

  *push(text) {
    const pieces = text.split('\n');
    const last = pieces.pop();
    for (const piece of pieces) {
      this.#line.push(piece);
      const line = this.#line.join('').replace(/\r$/, '');
      this.#line = [];
      const data = this.#take(line);
      if (data !== null) yield data;
    }
    this.#line.push(last);
  }

  /** The event's data where the line ends one; else null. The type is in the data as well, comments mean nothing. */
  #take(line) {
    if (line === '') {
      const data = this.#data.length > 0 ? this.#data.join('\n') : null;
      this.#data = [];
      return data;
    }
    if (line.startsWith('data:')) this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    return null;
  }
}

/** Yields the JSON of each event of a body (a ReadableStream of bytes). Leaving the loop early cancels the stream. */
export async function* eventsOf(body) {
  const parser = new EventParser();
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const data of parser.push(value)) {
        if (data !== '[DONE]') yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => {});  // Of a stream that has failed already.
  }
}
