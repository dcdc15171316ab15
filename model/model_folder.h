#ifndef HMAR_MODEL_MODEL_FOLDER_H_
#define HMAR_MODEL_MODEL_FOLDER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/config.h"

namespace hmar {

// A model as it lies on disk: configuration and two opened, complete checkpoints. Move-only.
struct ModelFolder {
  ModelConfig config;
  std::unique_ptr<Checkpoint> transformer;
  std::unique_ptr<Checkpoint> tokenizer;

  // Lower-case hex SHA-256 of the three lines "config X", "transformer Y" and "tokenizer Z", each
  // ended by a newline, where X, Y and Z are the SHA-256 of the files' bytes; for a folder without
  // config.json the first line is "architecture NAME". Anyone can check it with sha256sum.
  std::string digest;
  uint64_t parameters = 0;  // Elements of every tensor in the two tensor tables.
};

// Opens the folder `path`: config.json (or, where the folder has none, the configuration that
// OfficialArchitecture knows as `architecture`; "" for neither), the transformer's weights
// (hmar.safetensors, or hmar.pth, or the one file hmar-*.safetensors or hmar-*.pth) and the
// tokenizer's (vqvae.safetensors, or vqvae.pth, or the one file vqvae*.* or vae*.*). Of each,
// safetensors come before .pth. Then checks every tensor against the tensor table. A missing, extra
// or misshapen tensor, a wrong or unreadable file is an error that names file, tensor, found and
// wanted; a missing folder or file NOT_FOUND. Each file is opened once: the digest is that of the
// very files that the checkpoints read, also when others are renamed to their places meanwhile.
// Reads the weight files once for it; maps safetensors otherwise.
absl::StatusOr<ModelFolder> OpenModelFolder(const std::string& path,
                                            const std::string& architecture = "");

}  // namespace hmar

#endif  // HMAR_MODEL_MODEL_FOLDER_H_
