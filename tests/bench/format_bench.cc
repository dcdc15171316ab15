// What each format makes of pictures, and how long it takes: on one thread, the fastest of several
// turns for each picture, bytes and times summed over all. Every picture is encoded at least twice
// and its bytes compared; what was timed is what is hashed.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/digest.h"
#include "model/status_macros.h"
#include "server/calls/image_encoder.h"
#include "server/uploads/picture_reader.h"
#include "server/uploads/resize.h"

namespace hmar {
namespace {

struct Options {
  std::string pictures;
  uint32_t side = 256;
  int texture = 6;
  int turns = 5;
};

struct Row {
  std::string name;
  OutputChoice output;
};

std::vector<Row> Rows() {
  std::vector<Row> rows = {{"PNG, level 1", {.png_compression = 1}},
                           {"PNG, level 6", {.png_compression = 6}}};
  for (const int quality : {50, 75, 85, 90, 95}) {
    rows.push_back(
        {absl::StrCat("JPEG, ", quality), {.format = PictureFormat::kJpeg, .quality = quality}});
  }
  for (const int quality : {50, 75, 85, 95}) {
    rows.push_back(
        {absl::StrCat("WebP, ", quality), {.format = PictureFormat::kWebp, .quality = quality}});
  }
  rows.push_back({"WebP, lossless", {.format = PictureFormat::kWebp, .lossless = true}});
  return rows;
}

// Every picture of the folder in the bench's size, with a texture that enlarging cannot make.
absl::StatusOr<std::vector<Picture>> ReadPictures(const Options& options) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(options.pictures)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Picture> pictures;
  std::mt19937 random(1);
  for (const std::filesystem::path& path : paths) {
    std::ifstream stream(path, std::ios::binary);
    const std::string file(std::istreambuf_iterator<char>(stream), {});
    HMAR_ASSIGN_OR_RETURN(Picture picture, ReadPicture(file, UploadLimits{}));
    const Fit fit = FitInto(picture.width, picture.height, options.side, ResizeMode::kCover);
    HMAR_ASSIGN_OR_RETURN(picture, Resize(std::move(picture), fit, options.side));
    for (uint8_t& sample : picture.rgb) {
      const int noise = static_cast<int>(random() % (2 * options.texture + 1)) - options.texture;
      sample = static_cast<uint8_t>(std::clamp(sample + noise, 0, 255));
    }
    pictures.push_back(std::move(picture));
  }
  if (pictures.empty()) return absl::NotFoundError("no pictures in " + options.pictures);
  return pictures;
}

double SquaredError(const Picture& a, const Picture& b) {
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::pow(a.rgb[i] - b.rgb[i], 2);
  return sum / static_cast<double>(a.rgb.size());
}

absl::Status RunRow(const Row& row, const std::vector<Picture>& pictures, int turns) {
  using Clock = std::chrono::steady_clock;
  size_t bytes = 0;
  double milliseconds = 0, error = 0;
  std::string all;
  for (const Picture& picture : pictures) {
    double best = std::numeric_limits<double>::infinity();
    std::string first;
    for (int turn = 0; turn < turns; ++turn) {
      const Clock::time_point start = Clock::now();
      HMAR_ASSIGN_OR_RETURN(std::string file, EncodePicture(picture, row.output, ""));
      best =
          std::min(best, std::chrono::duration<double, std::milli>(Clock::now() - start).count());
      if (turn == 0) first = file;
      if (file != first) return absl::InternalError(row.name + ": other bytes in another turn");
    }
    HMAR_ASSIGN_OR_RETURN(const Picture decoded, ReadPicture(first, UploadLimits{}));
    bytes += first.size();
    milliseconds += best;
    error += SquaredError(picture, decoded);
    all += first;
  }
  const auto count = static_cast<double>(pictures.size());
  const double psnr = 10 * std::log10(255 * 255 * count / error);
  std::printf("| %-14s | %8.1f KB | %6.2f ms | %s | %s |\n", row.name.c_str(),
              static_cast<double>(bytes) / count / 1e3, milliseconds / count,
              error == 0 ? "exact" : absl::StrCat(std::lround(psnr * 10) / 10.0, " dB").c_str(),
              Sha256OfText(all).substr(0, 12).c_str());
  return absl::OkStatus();
}

absl::Status RunBench(const Options& options) {
  HMAR_ASSIGN_OR_RETURN(const std::vector<Picture> pictures, ReadPictures(options));
  std::printf(
      "%zu pictures of %u x %u\n| format | a picture | encoding it | PSNR | SHA-256 |\n"
      "|---|---|---|---|---|\n",
      pictures.size(), options.side, options.side);
  for (const Row& row : Rows()) HMAR_RETURN_IF_ERROR(RunRow(row, pictures, options.turns));
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Times the encoders of pictures and weighs what they make");
  app.add_option("--pictures", options.pictures, "Folder of PNGs, JPEGs or WebPs")->required();
  app.add_option("--side", options.side, "Pixels; they are scaled to that")->capture_default_str();
  app.add_option("--texture", options.texture, "Noise added to each sample, up to so much")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--turns", options.turns)->check(CLI::Range(2, 1000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = RunBench(options);
  if (status.ok()) return 0;
  return std::fprintf(stderr, "%s\n", status.ToString().c_str()), 1;
}

}  // namespace
}  // namespace hmar

int main(int argc, char** argv) { return hmar::Main(argc, argv); }
