#ifndef HMAR_MODEL_CUDA_ADALN_LAYOUT_H_
#define HMAR_MODEL_CUDA_ADALN_LAYOUT_H_

namespace hmar {

// A class's AdaLN vectors, C elements each: six a block (base, ns, then mask blocks) in the order
// of the checkpoint, then scale and shift of the next-scale head and of the mask head. Scales hold
// their 1.
enum BlockVector { kGamma1, kGamma2, kScale1, kScale2, kShift1, kShift2, kBlockVectors };
inline constexpr int kHeadVectors = 2;

}  // namespace hmar

#endif  // HMAR_MODEL_CUDA_ADALN_LAYOUT_H_
