// make_corpus FOLDER: writes the seeds of the fuzzers into FOLDER/png and FOLDER/edit: a small PNG
// of every kind, and bytes for edits. Inputs that once found a fault are kept beside them, by hand.

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "tests/server/uploads/png_maker.h"

namespace {

void Write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void WritePngs(const std::filesystem::path& folder) {
  std::mt19937 random(1);
  bool interlaced = false;
  for (hmar::PngSpec spec : hmar::EveryPngKind()) {
    spec.width = 9;
    spec.height = 5;
    interlaced = spec.interlaced = !interlaced;
    const bool transparent = spec.transparent.has_value() || !spec.palette_alpha.empty();
    if (spec.palette.size() > 16) spec.palette.resize(16);  // Small files fuzz faster.
    if (spec.palette_alpha.size() > 15) spec.palette_alpha.resize(15);
    Write(folder / ("type" + std::to_string(spec.color_type) + "-" +
                    std::to_string(spec.bit_depth) + (transparent ? "-trns" : "") + ".png"),
          hmar::MakePng(spec, hmar::RandomSamples(spec, &random)));
  }
}

void WriteEdits(const std::filesystem::path& folder) {
  std::mt19937 random(2);
  for (int i = 0; i < 16; ++i) {
    std::string bytes;
    for (int j = 0; j < 48; ++j) bytes.push_back(static_cast<char>(random()));
    Write(folder / ("seed-" + std::to_string(i)), bytes);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "tests/fuzz/corpus";
  for (const char* part : {"png", "edit"}) std::filesystem::create_directories(folder / part);
  WritePngs(folder / "png");
  WriteEdits(folder / "edit");
}
