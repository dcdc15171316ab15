#ifndef HMAR_MODEL_MODEL_FOLDER_H_
#define HMAR_MODEL_MODEL_FOLDER_H_

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
  std::string digest;       // SHA-256 over config.json (or the architecture's name) and both weight files; lower-case hex.
  uint64_t parameters = 0;  // Elements of every tensor in the two tensor tables.
};

// Opens `path`: config.json (or `architecture`, such as "hmar-d16", when the folder has none; "" for neither),
// hmar.safetensors or hmar.pth (or one hmar-*.pth / hmar-*.safetensors), vqvae.safetensors or vqvae.pth (or one vae_*.pth / vqvae*...),
// and checks every tensor against the tensor table: a missing, extra or misshapen tensor, a wrong or unreadable file is
// an error that names file, tensor, found and wanted. Reads the weight files once for the digest; maps them otherwise.
absl::StatusOr<ModelFolder> OpenModelFolder(const std::string& path, const std::string& architecture = "");

}  // namespace hmar

#endif  // HMAR_MODEL_MODEL_FOLDER_H_
