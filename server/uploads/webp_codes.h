#ifndef HMAR_SERVER_UPLOADS_WEBP_CODES_H_
#define HMAR_SERVER_UPLOADS_WEBP_CODES_H_

// What a lossless WebP's prefix codes will take in memory. libwebp builds tables of up to 20 KB for
// each group of codes; a file of 200 KB can have 65,536 groups, which would be 1.3 GB. How many
// there are stands in the middle of the data, so it is read up to there beforehand.

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hmar {

// The most groups that are decoded. libwebp's own encoder shares groups among tiles by what they
// cost: of pictures of 2048 px made to need many it makes 55.
inline constexpr uint32_t kMaxWebpCodeGroups = 500;

// An upper bound of the tables' bytes for a picture of this size that CheckWebpCodes lets through.
size_t WebpCodeBytes(uint32_t width, uint32_t height);

// Counts the groups of a picture of width x height pixels. `data`: a VP8L chunk's, behind its five
// bytes of header, or that of an ALPH chunk that is compressed so, behind its one.
// INVALID_ARGUMENT: there are more than kMaxWebpCodeGroups, or the data is damaged before it says
// so. Takes time in the order of decoding a sixteenth of the picture; a few KB of memory.
// Thread-safe.
absl::Status CheckWebpCodes(absl::string_view data, uint32_t width, uint32_t height);

}  // namespace hmar

#endif  // HMAR_SERVER_UPLOADS_WEBP_CODES_H_
