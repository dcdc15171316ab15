#include "client/command_line.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <limits>
#include <sstream>

#include "absl/strings/numbers.h"
#include "client/client.h"
#include "client/exit_code.h"

namespace hmar {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 done; 1 the call failed; 2 bad command line or input file; 3 no server, or not "
    "ready;\n"
    "4 a result could not be written; 130 interrupted, the call was cancelled.";

// A finite positive number of seconds. CLI::PositiveNumber takes infinities.
const CLI::Validator kSeconds(
    [](const std::string& text) -> std::string {
      double seconds = 0;
      const bool number = CLI::detail::lexical_cast(text, seconds);
      return number && std::isfinite(seconds) && seconds > 0
                 ? ""
                 : "'" + text + "' is not a positive number of seconds";
    },
    "SECONDS");

// CLI11 2.1 takes -1 for 2^64 - 1 and any larger number for it, too.
const CLI::Validator kSeed(
    [](const std::string& text) -> std::string {
      uint64_t seed = 0;
      const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
      return digits && absl::SimpleAtoi(text, &seed) ? "" : "'" + text + "' is not in [0, 2^64)";
    },
    "");

void AddRequestOptions(CLI::App& app, GenerateCommand& command) {
  app.add_option("--model", command.model, "Model name; default: the server's first");
  app.add_option("--class", command.target,
                 "What to draw: a class name, or its number; default: no class");
  app.add_option("--seed", command.seed,
                 "Seed of the first image; each further one adds 1; default: drawn by the server")
      ->check(kSeed);
  app.add_option("--count", command.count, "Number of images")
      ->check(CLI::Range(uint32_t{1}, std::numeric_limits<uint32_t>::max()))
      ->capture_default_str();
  app.add_option("--request-id", command.request_id, "Id for logs and receipts");
  app.add_option("--deadline", command.deadline_seconds, "Give up after so many seconds")
      ->check(kSeconds);
  app.add_option("--priority", command.priority, "-10 .. 10; higher first")->capture_default_str();
  app.add_flag("--validate-only", command.validate_only,
               "Check and price the request; make nothing");
}

void AddSamplingOptions(CLI::App& app, GenerateCommand& command) {
  const std::string group = "Sampling (default: the model's own)";
  app.add_option("--cfg", command.cfg_scale, "Classifier-free guidance at the last scale, >= 0")
      ->group(group);
  app.add_option("--top-k", command.top_k, "Draw from the k likeliest tokens; 0: off")
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
  app.add_option("--from-tokens", command.from_tokens, "Continue an image of this tokens file")
      ->group(group);
  app.add_option("--from-image", command.from_image, "Which image of the file, from 0")
      ->needs("--from-tokens")
      ->group(group);
  app.add_option("--scales", command.scales, "How many of its scales to keep; default: all")
      ->needs("--from-tokens")
      ->group(group);
}

void AddOutputOptions(CLI::App& app, GenerateCommand& command) {
  const std::string group = "Output";
  app.add_option("--out", command.out,
                 "Folder for image-SEED.png, image-SEED-scale-K.png and sheet.png; made if missing")
      ->group(group);
  app.add_option("--previews", command.previews,
                 "Pictures of unfinished images: none, fast or full")
      ->check(CLI::IsMember({"none", "fast", "full"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--preview-scales", command.preview_scales,
                 "Scales to preview, from 0: 2,4,6; default: all but the last")
      ->delimiter(',')
      ->needs("--previews")
      ->group(group);
  app.add_option("--format", command.format,
                 "How pictures travel: png, or rgb (the PNG files are then made here)")
      ->check(CLI::IsMember({"png", "rgb"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--png-compression", command.png_compression, "0 (fast) .. 9 (small)")
      ->group(group);
  app.add_option("--save-tokens", command.save_tokens, "Write all images' tokens to this JSON file")
      ->group(group);
  app.add_flag("--receipt", command.receipt,
               "Write how each image was made into its PNG and to image-SEED.json")
      ->group(group);
  app.add_flag("--quiet", command.quiet, "No progress lines")->group(group);
}

CLI::App* AddGenerate(CLI::App& app, GenerateCommand& command) {
  CLI::App* generate = app.add_subcommand("generate", "Make images");
  AddRequestOptions(*generate, command);
  AddSamplingOptions(*generate, command);
  AddOutputOptions(*generate, command);
  generate->final_callback([&command] {
    if (command.out.empty() && !command.validate_only) {
      throw CLI::RequiredError("--out (or --validate-only)");
    }
  });
  return generate;
}

CLI::App* AddModels(CLI::App& app, ModelsCommand& command) {
  CLI::App* models = app.add_subcommand("models", "List what the server holds");
  models->add_flag("--json", command.json, "Everything, as JSON");
  return models;
}

CLI::App* AddHealth(CLI::App& app, HealthCommand& command) {
  command.service = kReadinessService;
  CLI::App* health = app.add_subcommand("health", "Say whether the server is ready");
  health
      ->add_option("--service", command.service, "Service to ask about; empty: the process itself")
      ->capture_default_str();
  health->add_option("--wait", command.wait_seconds, "Wait so many seconds for it to become ready")
      ->check(kSeconds);
  return health;
}

CLI::App* AddSheet(CLI::App& app, SheetCommand& command) {
  CLI::App* sheet = app.add_subcommand("sheet", "Lay PNG files out on one page; needs no server");
  sheet->add_option("--out", command.out, "PNG file to write")->required();
  sheet->add_option("--columns", command.columns, "Pictures a row; default: all");
  sheet->add_option("pictures", command.pictures, "PNG files, left to right, top to bottom")
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

std::variant<CommandLine, EarlyExit> ParseCommandLine(int argc, const char* const* argv) {
  std::string server = "localhost:50051";
  GenerateCommand generate;
  ModelsCommand models;
  HealthCommand health;
  SheetCommand sheet;

  CLI::App app("hmar: pictures from an hmar-server, scale by scale.", "hmar");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();  // hmar models --server HOST:PORT, too.
  app.add_option("--server", server, "HOST:PORT")->envname("HMAR_SERVER")->capture_default_str();
  const CLI::App* run_generate = AddGenerate(app, generate);
  const CLI::App* run_models = AddModels(app, models);
  const CLI::App* run_health = AddHealth(app, health);
  AddSheet(app, sheet);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return MakeEarlyExit(app, error);
  }
  if (run_generate->parsed()) return CommandLine{server, generate};
  if (run_models->parsed()) return CommandLine{server, models};
  if (run_health->parsed()) return CommandLine{server, health};
  return CommandLine{server, sheet};
}

}  // namespace hmar
