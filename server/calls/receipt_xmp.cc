#include "server/calls/receipt_xmp.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "model/digest.h"

namespace hmar {
namespace {

constexpr size_t kSegmentBytes = 65533;  // A segment's length of 16 bits counts itself.
constexpr absl::string_view kStandard("http://ns.adobe.com/xap/1.0/\0", 29);
constexpr absl::string_view kExtension("http://ns.adobe.com/xmp/extension/\0", 35);
constexpr size_t kIdBytes = 32;  // Hexadecimal digits that join a packet to its extension.
constexpr size_t kPartBytes = kSegmentBytes - kExtension.size() - kIdBytes - 4 - 4;

std::string Rdf(absl::string_view attributes, absl::string_view properties) {
  return absl::StrCat(
      "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
      "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
      "<rdf:Description rdf:about=\"\" ",
      attributes, ">", properties, "</rdf:Description></rdf:RDF></x:xmpmeta>");
}

std::string ReceiptRdf(const std::string& json) {
  const std::string text =
      absl::StrReplaceAll(json, {{"&", "\\u0026"}, {"<", "\\u003c"}, {">", "\\u003e"}});
  return Rdf(absl::StrCat("xmlns:hmar=\"", kReceiptNamespace, "\""),
             absl::StrCat("<hmar:receipt>", text, "</hmar:receipt>"));
}

std::string Packet(const std::string& rdf) {
  return absl::StrCat("<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>", rdf,
                      "<?xpacket end=\"r\"?>");
}

std::string BigEndian(size_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

// The packet that points to an extension, and the extension in parts.
std::vector<std::string> Extended(const std::string& rdf) {
  std::string id = Sha256OfText(rdf).substr(0, kIdBytes);
  std::transform(id.begin(), id.end(), id.begin(), [](char digit) {
    return digit >= 'a' ? static_cast<char>(digit - 'a' + 'A') : digit;
  });
  const std::string pointer =
      Packet(Rdf(absl::StrCat("xmlns:xmpNote=\"http://ns.adobe.com/xmp/note/\" "
                              "xmpNote:HasExtendedXMP=\"",
                              id, "\""),
                 ""));
  std::vector<std::string> segments = {absl::StrCat(kStandard, pointer)};
  for (size_t at = 0; at < rdf.size(); at += kPartBytes) {
    segments.push_back(absl::StrCat(kExtension, id, BigEndian(rdf.size()), BigEndian(at),
                                    rdf.substr(at, kPartBytes)));
  }
  return segments;
}

}  // namespace

std::string ReceiptXmp(const std::string& json) { return Packet(ReceiptRdf(json)); }

std::vector<std::string> ReceiptSegments(const std::string& json) {
  if (json.empty()) return {};
  const std::string rdf = ReceiptRdf(json);
  const std::string segment = absl::StrCat(kStandard, Packet(rdf));
  if (segment.size() <= kSegmentBytes) return {segment};
  return Extended(rdf);
}

}  // namespace hmar
