#include "client/command_line.h"

#include <CLI/CLI.hpp>
#include <limits>
#include <sstream>

#include "client/client.h"
#include "client/exit_code.h"
#include "client/flag_values.h"
#include "client/key_options.h"
#include "client/picture_names.h"
#include "client/tls_flags.h"

namespace hmar {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 done; 1 the call failed; 2 bad command line or input file; 3 no server, or not "
    "ready;\n"
    "4 a result could not be written; 130 interrupted, the call was cancelled.";

void AddRequestOptions(CLI::App& app, RequestFlags& command) {
  app.add_option("--model", command.model, "Model name; default: the server's first");
  app.add_option(
      "--class", command.target,
      "What to draw: a class by name, alias or number (hmar models --classes has them);\n"
      "default: no class");
  app.add_option("--seed", command.seed,
                 "Seed of the first image; each further one adds 1; default: drawn by the server")
      ->check(Unsigned<uint64_t>());
  app.add_option("--count", command.count, "Number of images")
      ->check(CLI::Range(uint32_t{1}, std::numeric_limits<uint32_t>::max()))
      ->capture_default_str();
  app.add_option("--request-id", command.request_id, "Id for logs and receipts");
  app.add_option("--deadline", command.deadline_seconds, "Give up after so many seconds")
      ->check(Seconds());
  app.add_option(
         "--retries", command.retries,
         "Further tries where the server is full, goes down, dies or is not there: after the\n"
         "time that it names, a minute of waiting in all; what has come does not come again")
      ->check(Unsigned<uint32_t>())
      ->capture_default_str();
  app.add_option("--on-deadline", command.on_deadline,
                 "Where it cannot be met: fail when it passes, refuse (at once, if the server\n"
                 "expects that), or degrade (end images early, with fewer passes and scales)")
      ->check(CLI::IsMember({"fail", "refuse", "degrade"}))
      ->capture_default_str();
  app.add_option("--priority", command.priority, "-10 to 10: higher goes first")
      ->capture_default_str();
  app.add_flag("--validate-only", command.validate_only,
               "Check and price the request; make nothing");
}

void AddSamplingOptions(CLI::App& app, RequestFlags& command) {
  const std::string group = "Sampling (default: the model's own)";
  app.add_option("--cfg", command.cfg_scale, "Classifier-free guidance at the last scale, >= 0")
      ->group(group);
  app.add_option("--top-k", command.top_k, "Draw from the k likeliest tokens; 0: off")
      ->check(Unsigned<uint32_t>())
      ->group(group);
  app.add_option("--top-p", command.top_p,
                 "Draw from the likeliest tokens that make up p; 0 < p <= 1; 1: off")
      ->group(group);
  app.add_option("--temperature", command.temperature, "> 0; divides the logits")->group(group);
  app.add_option(
         "--schedule", command.schedule,
         "Passes of each scale: model, none (one pass: fastest), quality, or the tokens of\n"
         "each pass as JSON, [[1],[1,3],...]")
      ->capture_default_str()
      ->group(group);
  app.add_option("--max-scales", command.max_scales,
                 "End after so many scales: a draft, for --from-tokens to finish; 0: all")
      ->check(Unsigned<uint32_t>())
      ->group(group);
  app.add_option("--from-tokens", command.from_tokens, "Continue an image of this tokens file")
      ->group(group);
  app.add_option("--from-image", command.from_image, "Which image of the file, from 0")
      ->check(Unsigned<uint32_t>())
      ->needs("--from-tokens")
      ->group(group);
  app.add_option("--scales", command.scales, "How many of its scales to keep; default: all")
      ->check(CLI::Range(uint32_t{1}, std::numeric_limits<uint32_t>::max()))
      ->needs("--from-tokens")
      ->group(group);
}

// Returns --previews.
CLI::Option* AddOutputOptions(CLI::App& app, RequestFlags& command) {
  const std::string group = "Output";
  CLI::Option* previews = app.add_option("--previews", command.previews,
                                         "Files of unfinished images: none, fast or full. Unless\n"
                                         "given, a terminal shows fast ones, and none are written")
                              ->check(CLI::IsMember({"none", "fast", "full"}))
                              ->capture_default_str()
                              ->group(group);
  app.add_option("--preview-scales", command.preview_scales,
                 "Scales to preview, from 0: 2,4,6; default: all but the last")
      ->delimiter(',')
      ->check(Unsigned<uint32_t>())
      ->needs("--previews")
      ->group(group);
  app.add_option("--format", command.format,
                 "How pictures travel: png, jpeg, webp, or rgb (PNG files are then made here)")
      ->check(CLI::IsMember({"png", "jpeg", "webp", "rgb"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--png-compression", command.png_compression, "0 (fast) .. 9 (small)")
      ->check(Unsigned<uint32_t>())
      ->group(group);
  CLI::Option* quality =
      app.add_option("--quality", command.quality, "1 .. 100, of jpeg and webp; default: 85")
          ->check(Unsigned<uint32_t>())
          ->group(group);
  app.add_flag("--lossless", command.lossless, "A webp that keeps every pixel")
      ->excludes(quality)
      ->group(group);
  app.add_option("--save-tokens", command.save_tokens, "Write all images' tokens to this JSON file")
      ->group(group);
  app.add_flag("--receipt", command.receipt,
               "Write how each image was made into its file and to a .json beside it")
      ->group(group);
  app.add_flag("--quiet", command.quiet, "No progress, no pictures on the terminal")->group(group);
  app.add_option("--show", command.show,
                 "Pictures on the terminal: auto (as the terminal can), never, or by a protocol:\n"
                 "kitty, iterm2, sixel, blocks")
      ->check(CLI::IsMember({"auto", "never", "kitty", "iterm2", "sixel", "blocks"}))
      ->capture_default_str()
      ->group(group);
  return previews;
}

CLI::App* AddGenerate(CLI::App& app, GenerateCommand& command) {
  CLI::App* generate = app.add_subcommand("generate", "Make images");
  AddRequestOptions(*generate, command);
  AddSamplingOptions(*generate, command);
  generate
      ->add_option(
          "--out", command.out,
          "Folder for image-SEED.png (or .jpg, .webp), image-SEED-scale-KK.png and sheet.png;\n"
          "made if missing")
      ->check(NotEmpty())
      ->capture_default_str()
      ->group("Output");
  const CLI::Option* previews = AddOutputOptions(*generate, command);
  generate->final_callback(
      [&command, previews] { command.write_previews = previews->count() > 0; });
  return generate;
}

void AddRegionOptions(CLI::App& app, EditCommand& command) {
  const std::string group = "Where to edit (one of --box, --mask, --keep-box)";
  app.add_option("--image", command.image, "PNG, JPEG or WebP file to edit; sent as it is")
      ->required()
      ->group(group);
  CLI::Option* box = AddBox(app, "--box", command.box,
                            "Generate the pixels x0 <= x < x1, y0 <= y < y1 of the image");
  CLI::Option* mask = app.add_option(
      "--mask", command.mask, "Generate what is white (>= 128) in this file of the image's size");
  CLI::Option* keep_box =
      AddBox(app, "--keep-box", command.keep_box, "Generate all but this box: outpainting");
  box->excludes(mask, keep_box)->group(group);
  mask->excludes(keep_box)->group(group);
  keep_box->group(group);
  app.add_option("--resize", command.resize,
                 "An image of another size than the model's: none (an error), cover (crop the\n"
                 "middle), contain (the bars at two sides are generated, too)")
      ->check(CLI::IsMember({"none", "cover", "contain"}))
      ->capture_default_str()
      ->group(group);
  CLI::Option* feather =
      app.add_option("--feather", command.feather,
                     "Blend over so many pixels at the region's edge, inside it; 0: hard edge")
          ->check(Unsigned<uint32_t>())
          ->capture_default_str()
          ->group(group);
  app.add_flag_callback(
         "--no-composite", [&command] { command.composite = false; },
         "The model's whole picture, also where the image was kept; else the image's own\n"
         "pixels are put back there, byte for byte")
      ->excludes(feather)
      ->group(group);
}

// --out says the format where --format does not; both must mean the same.
void MatchFormat(const CLI::Option& format, EditCommand& command) {
  const std::string named = FormatOfName(command.out);
  if (named.empty()) {
    throw CLI::ValidationError("--out",
                               "'" + command.out + "' does not end in .png, .jpg or .webp");
  }
  if (format.count() == 0) command.format = named;
  if (named == (command.format == "rgb" ? "png" : command.format)) return;
  throw CLI::ValidationError("--out", "'" + command.out + "' does not end in " +
                                          ExtensionOf(command.format) + ", as --format " +
                                          command.format + " has it");
}

CLI::App* AddEdit(CLI::App& app, EditCommand& command) {
  CLI::App* edit =
      app.add_subcommand("edit", "Make part of a picture anew: in- and outpainting, class edits");
  AddRegionOptions(*edit, command);
  AddRequestOptions(*edit, command);
  AddSamplingOptions(*edit, command);
  edit->add_option(
          "--out", command.out,
          "File to write, .png, .jpg or .webp; with --count above 1, and for previews and\n"
          "receipts, the start of the names: OUT-SEED.png, OUT-scale-KK.png,\n"
          "OUT-SEED-scale-KK.png. Its end chooses the format where --format does not;\n"
          "default: pictures/edit-SEED.png")
      ->group("Output");
  edit->add_option("--sheet", command.sheet,
                   "PNG file for a page: image, region, previews (fast ones, unless --previews\n"
                   "says otherwise) and result; a row each variation")
      ->check(PngName())
      ->group("Output");
  const CLI::Option* previews = AddOutputOptions(*edit, command);
  const CLI::Option* format = edit->get_option("--format");
  edit->final_callback([&command, previews, format] {
    if (!command.box && !command.keep_box && command.mask.empty() && command.resize != "contain") {
      throw CLI::RequiredError("--box, --mask, --keep-box or --resize contain");
    }
    if (!command.out.empty() && command.sheet == command.out) {
      throw CLI::ValidationError("--sheet", "'" + command.sheet + "' is --out's file, too");
    }
    if (!command.out.empty()) MatchFormat(*format, command);
    command.write_previews = previews->count() > 0;
    if (!command.write_previews && !command.sheet.empty()) command.previews = "fast";
  });
  return edit;
}

CLI::App* AddModels(CLI::App& app, ModelsCommand& command) {
  CLI::App* models = app.add_subcommand("models", "List what the server holds");
  models->add_option("--model", command.model, "This model alone");
  CLI::Option* json = models->add_flag("--json", command.json, "Everything, as JSON");
  models
      ->add_flag("--classes", command.classes,
                 "What can be drawn: number, name, aliases of each class")
      ->excludes(json);
  return models;
}

CLI::App* AddHealth(CLI::App& app, HealthCommand& command) {
  command.service = kReadinessService;
  CLI::App* health = app.add_subcommand("health", "Say whether the server is ready");
  health
      ->add_option("--service", command.service, "Service to ask about; empty: the process itself")
      ->capture_default_str();
  health->add_option("--wait", command.wait_seconds, "Wait so many seconds for it to become ready")
      ->check(Seconds());
  return health;
}

CLI::App* AddSheet(CLI::App& app, SheetCommand& command) {
  CLI::App* sheet =
      app.add_subcommand("sheet", "Lay picture files out on one page; needs no server");
  sheet->add_option("--out", command.out, "PNG file to write")->required();
  sheet->add_option("--columns", command.columns, "Pictures a row; default: all")
      ->check(Unsigned<uint32_t>());
  sheet
      ->add_option("pictures", command.pictures,
                   "PNG, JPEG or WebP files, left to right, top to bottom")
      ->required();
  return sheet;
}

EarlyExit MakeEarlyExit(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = app.exit(error, out, err);
  return {code == 0 ? kExitOk : kExitUsage, out.str(), err.str()};
}

}  // namespace

std::variant<CommandLine, EarlyExit> ParseCommandLine(int argc, const char* const* argv,
                                                      const std::string& version) {
  std::string server = "localhost:50051";
  TlsOptions tls;
  GenerateCommand generate;
  EditCommand edit;
  ModelsCommand models;
  HealthCommand health;
  SheetCommand sheet;
  ApiKeyOptions api_key;
  KeyNewCommand key_new;
  WatchCommand watch;

  CLI::App app("hmar: pictures from an hmar-server, scale by scale.", "hmar");
  app.footer(kFooter);
  app.set_version_flag("--version", "hmar " + version);
  app.require_subcommand(1);
  app.fallthrough();  // hmar models --server HOST:PORT, too.
  app.add_option("--server", server, "HOST:PORT")->envname("HMAR_SERVER")->capture_default_str();
  AddTlsOptions(app, tls);
  AddApiKeyOptions(app, api_key);
  const CLI::App* run_generate = AddGenerate(app, generate);
  const CLI::App* run_edit = AddEdit(app, edit);
  const CLI::App* run_models = AddModels(app, models);
  const CLI::App* run_health = AddHealth(app, health);
  const CLI::App* run_key_new = AddKeyNew(app, key_new);
  const CLI::App* run_watch = AddWatch(app, watch);
  AddSheet(app, sheet);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return MakeEarlyExit(app, error);
  }
  if (run_generate->parsed()) return CommandLine{server, tls, api_key, generate};
  if (run_edit->parsed()) return CommandLine{server, tls, api_key, edit};
  if (run_models->parsed()) return CommandLine{server, tls, api_key, models};
  if (run_health->parsed()) return CommandLine{server, tls, api_key, health};
  if (run_key_new->parsed()) return CommandLine{server, tls, api_key, key_new};
  if (run_watch->parsed()) return CommandLine{server, tls, api_key, watch};
  return CommandLine{server, tls, api_key, sheet};
}

}  // namespace hmar
