// How a picture was made, and what it cost.
import { copyButton, make } from './dom.js';
import { duration, secondsOf } from './sentences.js';

/** Fills the panel with a drawing's receipt. `patchNums`: the model's tokens a side, by scale. */
export function showReceipt(panel, { receipt, degraded }, patchNums) {
  if (!receipt) return panel.replaceChildren(make('p', {}, 'The server sent no receipt.'));
  const json = JSON.stringify(receipt, null, 2);
  const { sampling = {}, scales = [] } = receipt;
  const facts = {
    Model: receipt.model, Digest: receipt.model_digest, Precision: receipt.precision, Server: receipt.server_version,
    Seed: receipt.seed ?? '0', Guidance: sampling.cfg_scale, 'Top k': sampling.top_k ?? 0, 'Top p': sampling.top_p,
    Temperature: sampling.temperature, Waited: duration(secondsOf(receipt.queued)), Ran: duration(secondsOf(receipt.ran)),
    Request: receipt.request_id, ...(degraded && { Ended: 'early, for its deadline' }),
  };
  return panel.replaceChildren(
    factList(facts), costTable(scales, patchNums),
    make('details', {}, make('summary', {}, 'All of it as JSON'),
      make('div', { className: 'code' }, copyButton(() => json, 'the receipt'),
        make('pre', { tabindex: 0, 'aria-label': 'The receipt as JSON' }, json))));
}

function factList(facts) {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  const rows = known.map(([name, value]) => [make('dt', {}, name), make('dd', {}, shortNumber(value))]);
  return make('dl', { className: 'facts' }, ...rows.flat());
}

/** Floats of the wire are of 32 bits: 0.97 comes as 0.9700000286102295. */
const shortNumber = (value) => String(typeof value === 'number' ? Number(value.toPrecision(7)) : value);

function costTable(scales, patchNums) {
  const heads = ['Scale', 'Grid', 'Passes', 'Device time', 'Shared with'];
  const rows = scales.map(({ scale = 0, passes = 0, device_seconds: seconds = 0, max_batch_images: batch = 1 }) => {
    const cells = [`${patchNums[scale]} × ${patchNums[scale]}`, passes, `${(seconds * 1000).toFixed(1)} ms`, batch - 1];
    return make('tr', {}, make('th', { scope: 'row' }, String(scale + 1)), ...cells.map((cell) => make('td', {}, String(cell))));
  });
  return make('table', {}, make('caption', {}, 'What each scale took'),
    make('thead', {}, make('tr', {}, ...heads.map((head) => make('th', { scope: 'col' }, head)))),
    make('tbody', {}, ...rows));
}
