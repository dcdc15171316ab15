#ifndef HMAR_SERVER_CALLS_RECEIPT_XMP_H_
#define HMAR_SERVER_CALLS_RECEIPT_XMP_H_

// A receipt as XMP, the metadata that JPEG and WebP have a place for: its JSON is the text of the
// property hmar:receipt. The characters that XML keeps for itself are written as JSON's \uXXXX, so
// that the text is JSON as it stands, for readers with and without an XML parser.

#include <string>
#include <vector>

namespace hmar {

// The namespace of the property.
inline constexpr char kReceiptNamespace[] = "urn:hmar:v1:";

// The packet for a WebP's XMP chunk. REQUIRES: `json` is UTF-8 without control characters.
std::string ReceiptXmp(const std::string& json);

// The APP1 segments for a JPEG, each without marker and length: none of an empty `json`, one where
// a segment (65,533 bytes) has room for it, else as XMP's extension, of which each has a part.
std::vector<std::string> ReceiptSegments(const std::string& json);

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_RECEIPT_XMP_H_
