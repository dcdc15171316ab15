// A picture of the user's own: by file picker, dropped, or pasted.
import { announce, byId, make } from './dom.js';
import { readUpload } from './pictures.js';

/** Calls `onPicture(picture)` for each file that is one; of what is none the page says why. */
export function setUpUploads(onPicture) {
  const take = async (file) => {
    if (!file) return;
    byId('notices').replaceChildren();
    try {
      onPicture(await readUpload(file));
    } catch (error) {
      byId('notices').replaceChildren(make('p', { className: 'problem', role: 'alert' }, error.message));
    }
  };
  byId('upload').onchange = ({ target }) => {
    take(target.files[0]);
    target.value = '';  // So that the same file may be chosen again.
  };
  document.addEventListener('paste', (event) => {
    if (event.clipboardData.files.length > 0) take(event.clipboardData.files[0]);
  });
  setUpDrop(take);
}

/** Files may be dropped anywhere; a veil says so while one is over the page. */
function setUpDrop(take) {
  const veil = byId('drop');
  const hasFiles = (event) => event.dataTransfer.types.includes('Files');
  let depth = 0;  // Enters and leaves come for every element under the pointer.
  const show = (change) => {
    depth = Math.max(0, depth + change);
    if (veil.hidden !== (depth === 0)) veil.hidden = depth === 0;
  };
  addEventListener('dragenter', (event) => hasFiles(event) && show(1));
  addEventListener('dragleave', (event) => hasFiles(event) && show(-1));
  addEventListener('dragover', (event) => hasFiles(event) && event.preventDefault());
  addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    show(-depth);
    announce('Reading the picture.');
    take(event.dataTransfer.files[0]);
  });
}
