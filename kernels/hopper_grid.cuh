#ifndef HMAR_KERNELS_HOPPER_GRID_CUH_
#define HMAR_KERNELS_HOPPER_GRID_CUH_

// Hopper beyond a thread block, one function an instruction: the order of dependent kernels and
// clusters of thread blocks. Only for code compiled for sm_90a.

#include "kernels/hopper_mma.cuh"

namespace hmar::kernels {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// ---- Programmatic dependent launch ----

// Until the kernels ahead in the stream are done and what they wrote is visible.
__device__ inline void WaitForEarlierKernels() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// The next kernel may start once every thread block has said so (or has ended).
__device__ inline void LetNextKernelStart() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// ---- Clusters ----

__device__ inline uint32_t ClusterRank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// A barrier of all threads of the cluster that have not ended. By whole warps.
__device__ inline void SyncCluster() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
}

// All threads see what any did before: of the block, or of the cluster.
template <bool kClustered>
__device__ inline void SyncBlocks() {
  if constexpr (kClustered) {
    SyncCluster();
  } else {
    __syncthreads();
  }
}

// One arrival on the barrier at this place in the shared memory of the cluster's block `rank`.
__device__ inline void ArriveAt(uint64_t* barrier, uint32_t rank) {
  asm volatile(
      "{\n"
      ".reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n"
      "}\n" ::"r"(SharedAddress(barrier)),
      "r"(rank)
      : "memory");
}

// LoadBox to this place in every block of `mask`, the bytes counted on each one's own barrier.
__device__ inline void LoadBoxToAll(void* to, const CUtensorMap* map, uint64_t* barrier,
                                    uint16_t mask, int c0, int c1, int c2) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%4, %5, %6}], [%2], %3;" ::"r"(SharedAddress(to)),
      "l"(map), "r"(SharedAddress(barrier)), "h"(mask), "r"(c0), "r"(c1), "r"(c2)
      : "memory");
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace hmar::kernels

#endif  // HMAR_KERNELS_HOPPER_GRID_CUH_
