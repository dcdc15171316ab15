#include "client/commands.h"

#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/contact_sheet.h"
#include "client/files.h"
#include "client/picture_codec.h"
#include "client/png_codec.h"
#include "client/printable.h"
#include "client/sheet_rows.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

constexpr char kModelRow[] = "%-20s %-8s %6s %8s %7s %10s  %-9s %-12s %s\n";

constexpr size_t kMaxCellBytes = 128;

std::string Cell(const std::string& text) { return Printable(text, kMaxCellBytes); }

std::string ModelTable(const v1::ListModelsResponse& models) {
  std::string table = absl::StrFormat(kModelRow, "NAME", "ARCH", "PIXELS", "CLASSES", "SCALES",
                                      "PARAMETERS", "PRECISION", "DEVICES", "DIGEST");
  for (const v1::Model& model : models.models()) {
    absl::StrAppend(
        &table, absl::StrFormat(
                    kModelRow, absl::StrCat(Cell(model.name()), model.is_default() ? " *" : ""),
                    Cell(model.architecture()), absl::StrCat(model.image_size()),
                    absl::StrCat(model.classes_size()), absl::StrCat(model.patch_nums_size()),
                    absl::StrFormat("%.1f M", model.parameters() / 1e6), Cell(model.precision()),
                    Cell(absl::StrJoin(model.devices(), ",")), Cell(model.digest().substr(0, 12))));
  }
  return absl::StrCat(table, "* the default model\n");
}

std::string ClassList(const v1::ListModelsResponse& models) {
  std::string list;
  for (const v1::Model& model : models.models()) {
    absl::StrAppend(&list, Cell(model.name()), "\n");
    for (int id = 0; id < model.class_infos_size(); ++id) {
      const v1::ClassInfo& called = model.class_infos(id);
      std::string aliases = absl::StrJoin(called.aliases(), ", ", [](auto* out, const auto& alias) {
        absl::StrAppend(out, Cell(alias));
      });
      absl::StrAppend(&list, absl::StrFormat("%6d  %s%s%s\n", id, Cell(called.name()),
                                             aliases.empty() ? "" : ": ", aliases));
    }
  }
  return list;
}

absl::StatusOr<v1::ListModelsResponse> AskForModels(const std::string& name, Client& client,
                                                    const CallOptions& options) {
  if (name.empty()) return client.ListModels(options);
  v1::ListModelsResponse models;
  HMAR_ASSIGN_OR_RETURN(*models.add_models(), client.GetModel(name, options));
  return models;
}

absl::StatusOr<std::vector<std::vector<Picture>>> ReadRows(const SheetCommand& command) {
  SheetRows rows;
  for (size_t i = 0; i < command.pictures.size(); ++i) {
    const std::string& path = command.pictures[i];
    HMAR_ASSIGN_OR_RETURN(const std::string file, ReadFile(path));
    HMAR_ASSIGN_OR_RETURN(Picture picture, DecodePicture(file, path));
    const size_t row = command.columns == 0 ? 0 : i / command.columns;
    rows.Append(static_cast<uint32_t>(row), std::move(picture));
  }
  return rows.Take();
}

absl::StatusOr<std::string> MakeSheet(const SheetCommand& command) {
  HMAR_ASSIGN_OR_RETURN(const auto rows, ReadRows(command));
  HMAR_ASSIGN_OR_RETURN(const Picture sheet, MakeContactSheet(rows));
  return EncodePng(sheet);
}

}  // namespace

void PrintError(const absl::Status& status) {
  absl::FPrintF(stderr, "hmar: %s: %s\n", absl::StatusCodeToString(status.code()),
                PrintableLines(std::string(status.message())));
}

ExitCode ReportCall(const absl::Status& status, const Canceller& canceller) {
  if (status.ok()) return kExitOk;
  if (canceller.cancelled()) {
    absl::FPrintF(stderr, "hmar: interrupted: the call was cancelled\n");
    return kExitInterrupted;
  }
  PrintError(status);
  return ExitCodeOfCall(status);
}

ExitCode RunModels(const ModelsCommand& command, Client& client, Canceller& canceller) {
  const auto models = AskForModels(command.model, client, {.canceller = &canceller});
  if (!models.ok()) return ReportCall(models.status(), canceller);
  if (!command.json) {
    absl::PrintF("%s", command.classes ? ClassList(*models) : ModelTable(*models));
    return kExitOk;
  }
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(*models, &json, options).ok()) {
    PrintError(absl::DataLossError("the server's answer cannot be written as JSON"));
    return kExitCallFailed;
  }
  absl::PrintF("%s", PrintableJson(json));
  return kExitOk;
}

ExitCode RunHealth(const HealthCommand& command, Client& client, Canceller& canceller) {
  CallOptions options{.canceller = &canceller};
  const bool waits = command.wait_seconds > 0;
  if (waits) options.timeout = absl::Seconds(command.wait_seconds);
  absl::Status status = waits ? client.WaitUntilReady(command.service, options)
                              : client.Health(command.service, options);
  if (waits && absl::IsDeadlineExceeded(status)) {
    status = absl::UnavailableError(
        absl::StrCat("not ready within ", absl::FormatDuration(options.timeout)));
  }
  if (status.ok()) absl::PrintF("SERVING\n");
  return ReportCall(status, canceller);
}

ExitCode RunSheet(const SheetCommand& command) {
  const absl::StatusOr<std::string> png = MakeSheet(command);
  if (!png.ok()) {
    PrintError(png.status());
    return kExitUsage;
  }
  if (const absl::Status written = WriteFile(command.out, *png); !written.ok()) {
    PrintError(written);
    return kExitOutput;
  }
  absl::PrintF("%s\n", command.out);
  return kExitOk;
}

}  // namespace hmar
