// The dialog around one picture: edit it, branch off it, see how it was made.
import { byId } from './dom.js';
import { BranchPanel } from './branch_panel.js';
import { showCommands } from './commands_panel.js';
import { EditPanel } from './edit_panel.js';
import { showReceipt } from './receipt_panel.js';
import { RegionEditor } from './region_editor.js';
import { RunView } from './run_view.js';
import { Stage } from './stage.js';
import { Tabs } from './tabs.js';

/**
 * `site`: modelOf(name), currentSettings(), start(recipe) which returns a Run, hasKey().
 */
export class Workbench {
  #dialog = byId('workbench');
  #site;
  #stage = new Stage((...shown) => this.#showFacts(...shown), (drawing) => this.openDrawing(drawing));
  #tabs = new Tabs(byId('tabs'), () => this.#tabChanged());
  #branch = new BranchPanel((keep) => this.#stage.showSource(keep - 1), (recipe) => this.#start(recipe));
  #edit;
  #unused = null;  // The upload that is open, until something is made of it.
  #facts;  // The Drawing whose receipt and commands are shown, or null.

  constructor(site) {
    this.#site = site;
    const editor = new RegionEditor(byId('region'), byId('brush-cursor'));
    this.#edit = new EditPanel(editor, () => this.#stage.showSource(), (recipe) => this.#start(recipe));
    byId('close').onclick = () => this.#dialog.close();
    this.#dialog.addEventListener('close', () => this.#leave());
  }

  /** Opens a finished Drawing. */
  openDrawing(drawing) {
    const { settings } = drawing.run.recipe;
    this.#open({ drawing, picture: drawing.picture, title: drawing.title }, this.#site.modelOf(settings.model), settings);
  }

  /** Opens an upload, a Picture, to edit it with the model and settings that are chosen. */
  openUpload(picture) {
    const settings = this.#site.currentSettings();
    this.#open({ drawing: null, picture, title: picture.name }, this.#site.modelOf(settings.model), settings);
  }

  #open(subject, model, settings) {
    this.#leave();
    this.#unused = subject.drawing ? null : subject.picture;
    this.#edit.open(subject.picture, model, settings);
    const canBranch = subject.drawing !== null && BranchPanel.canBranch(subject.drawing, model);
    byId('tab-branch').hidden = !canBranch;
    if (canBranch) this.#branch.open(subject.drawing, model);
    this.#stage.load(subject);
    this.#tabs.choose('tab-edit');
    if (!this.#dialog.open) this.#dialog.showModal();
    byId('workbench-title').focus();
    this.#dialog.scrollTop = 0;
  }

  /** An upload of which nothing was made is needed no more. */
  #leave() {
    byId('bench-runs').replaceChildren();
    this.#unused?.release();
    this.#unused = null;
  }

  /** Title, download, receipt and commands are those of what is on the stage. */
  #showFacts(drawing, title, picture) {
    byId('workbench-title').textContent = title;
    if (picture) Object.assign(byId('download'), { href: picture.url, download: picture.name });
    if (drawing === this.#facts) return;
    this.#facts = drawing;
    byId('tab-receipt').hidden = drawing === null;
    byId('tab-commands').hidden = drawing === null;
    if (drawing) {
      showReceipt(byId('panel-receipt'), drawing, drawing.run.recipe.patchNums);
      showCommands(byId('panel-commands'), drawing, this.#site.hasKey());
    } else if (['tab-receipt', 'tab-commands'].includes(this.#tabs.chosen)) this.#tabs.choose('tab-edit');
  }

  #tabChanged() {
    const tab = this.#tabs.chosen;
    this.#stage.setEditable(tab === 'tab-edit');
    if (tab === 'tab-branch') this.#stage.showSource(this.#branch.keep - 1);
    else if (tab === 'tab-edit') this.#stage.showSource();
    else this.#stage.showWhole();
  }

  /** Runs what a form asks for; its first picture takes the stage while it grows. */
  #start(recipe) {
    this.#unused = null;
    const run = this.#site.start(recipe);
    run.addEventListener('change', ({ drawing }) => drawing && this.#stage.resultChanged(drawing));
    const view = new RunView(run, { open: (drawing) => this.#stage.showResult(drawing), again: () => this.#start(recipe) });
    byId('bench-runs').prepend(view.element);
    this.#stage.showResult(run.drawings[0]);
    byId('stage').scrollIntoView({ block: 'nearest' });
  }
}
