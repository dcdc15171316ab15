// make_corpus FOLDER: writes the seeds of the fuzzers into FOLDER/png, FOLDER/jpeg, FOLDER/webp,
// FOLDER/edit, FOLDER/http and FOLDER/weights: a small picture of every kind, bytes for edits,
// requests, a small file for each reader of a model folder but the .pth files, of which
// tests/golden/pth has enough. Inputs that once found a fault are kept beside them, by hand.

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/server/uploads/picture_maker.h"
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

void WriteJpegs(const std::filesystem::path& folder) {
  int number = 0;
  for (hmar::JpegSpec spec : hmar::EveryJpegKind()) {
    spec.width = 17;
    spec.height = 9;
    spec.orientation = number % 9;
    const size_t samples = size_t{17} * 9 * static_cast<size_t>(spec.components);
    Write(folder / ("kind-" + std::to_string(number++) + ".jpg"),
          hmar::MakeJpeg(spec, hmar::NoiseSamples(samples)));
  }
}

void WriteWebps(const std::filesystem::path& folder) {
  int number = 0;
  for (const bool lossless : {false, true}) {
    for (const bool alpha : {false, true}) {
      for (const bool smooth : {false, true}) {
        hmar::WebpSpec spec{.width = 24, .height = 13, .lossless = lossless, .alpha = alpha};
        spec.orientation = number % 9;
        std::vector<uint8_t> samples = hmar::NoiseSamples(size_t{24} * 13 * (alpha ? 4 : 3));
        if (smooth) {
          for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<uint8_t>(i / 4);
        }
        Write(folder / ("kind-" + std::to_string(number++) + ".webp"),
              hmar::MakeWebp(spec, samples));
      }
    }
  }
  Write(folder / "animated.webp", hmar::MakeAnimatedWebp(8));
  Write(folder / "codes.webp", hmar::MakeWebpOfManyCodes(24, 13));
}

void WriteEdits(const std::filesystem::path& folder) {
  std::mt19937 random(2);
  for (int i = 0; i < 16; ++i) {
    std::string bytes;
    for (int j = 0; j < 48; ++j) bytes.push_back(static_cast<char>(random()));
    Write(folder / ("seed-" + std::to_string(i)), bytes);
  }
}

// A string literal with its zero bytes.
template <size_t n>
std::string Bytes(const char (&literal)[n]) {
  return std::string(literal, n - 1);
}

// Small requests of every kind that the server knows.
void WriteHttp(const std::filesystem::path& folder) {
  const std::string post = "POST /v1/images/edits HTTP/1.1\r\nhost: a\r\n";
  const std::string json = R"({"prompt":"ship","n":2,"prefix":[[1],[2,3]],"cfg_scale":1.5e0})";
  const std::string part =
      "--B\r\ncontent-disposition: form-data; name=\"image\"; "
      "filename=\"a\"\r\n\r\nb\r\n--B\r\nContent-Disposition: form-data; "
      "name=prompt\r\n\r\ncat\r\n--B--\r\n";
  const auto of_length = [](const std::string& body) {
    return "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  };
  Write(folder / "get", "GET /v1/models HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  Write(folder / "json", post + "content-type: application/json\r\n" + of_length(json));
  Write(folder / "multipart",
        post + "content-type: multipart/form-data; boundary=B\r\n" + of_length(part));
  Write(folder / "quoted",
        post + "content-type: multipart/form-data; boundary=\"B\"\r\n" + of_length(part));
  Write(folder / "chunked",
        post +
            "transfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n3;a=b\r\n"
            "{\"a\r\nA\r\n\":1}      \r\n0\r\nx: y\r\n\r\n");
  Write(folder / "both", post + "transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n");
  Write(folder / "old", "GET / HTTP/1.0\r\n\r\n");
  Write(folder / "form", part);
  Write(folder / "object", json);
}

void WriteWeights(const std::filesystem::path& folder) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
      R"("b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}})";
  Write(folder / "header.safetensors",
        static_cast<char>(header.size()) + std::string(7, '\0') + header + std::string(26, '\1'));
  // {"w": a parameter around a tensor (2, 2) of storage "0"}
  Write(folder / "state_dict.pkl",
        Bytes("\x80\x02}(\x8c\x01wctorch._utils\n_rebuild_parameter\n(ctorch._utils\n"
              "_rebuild_tensor_v2\n((\x8c\x07storagectorch\nFloatStorage\n\x8c\x01"
              "0\x8c\x03"
              "cpuK\x04tQK\x00K\x02K\x02\x86K\x02K\x01\x86\x89"
              "ccollections\nOrderedDict\n)RtR\x89NtRu."));
  // {"model": {}}, remembered and recalled.
  Write(folder / "wrapped.pkl", Bytes("\x80\x04}q\x01\x8c\x05model\x94h\x01\x94s."));
  std::filesystem::copy_file("deploy/models/hmar-cifar10/config.json", folder / "config.json",
                             std::filesystem::copy_options::overwrite_existing);
  Write(folder / "aliases.json", R"({"name":"m","architecture":"hmar","image_size":4,"classes":)"
                                 R"(["cat","dog"],"class_aliases":{"dog":["hound","n02084071"]}})");
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "tests/fuzz/corpus";
  for (const char* part : {"png", "jpeg", "webp", "edit", "weights", "http"}) {
    std::filesystem::create_directories(folder / part);
  }
  WritePngs(folder / "png");
  WriteJpegs(folder / "jpeg");
  WriteWebps(folder / "webp");
  WriteEdits(folder / "edit");
  WriteWeights(folder / "weights");
  WriteHttp(folder / "http");
}
