#ifndef HMAR_MODEL_PHI_OF_SCALE_H_
#define HMAR_MODEL_PHI_OF_SCALE_H_

namespace hmar {

// The phi convolution of a scale (VAR, arXiv 2404.02905, section 3.2): `count` of them are spread
// evenly over the scales, and scale k uses the one whose tick is nearest to k / (K - 1), the lower
// of two. Official scale lists do meet exact ties (k = 2 of K = 10), which rounding decides: so
// ticks are computed in double, operation for operation as numpy.linspace does for the published
// models. Pure.
int PhiOfScale(int scale, int num_scales, int count);

}  // namespace hmar

#endif  // HMAR_MODEL_PHI_OF_SCALE_H_
