#ifndef HMAR_SERVER_HTTP_CHANNEL_H_
#define HMAR_SERVER_HTTP_CHANNEL_H_

#include <cstddef>
#include <memory>

#include "absl/strings/string_view.h"
#include "server/transport/descriptors.h"
#include "server/transport/tls_context.h"

namespace hmar {

// What came of reading or writing, which never wait.
enum class Io {
  kDone,       // Some bytes, or the handshake is over.
  kWantRead,   // Nothing; try again once the descriptor is readable,
  kWantWrite,  // or writable.
  kClosed,     // The client sends no more.
  kFailed,     // The connection is of no use.
};

// The bytes of one connection, plain or through TLS. Closing is the destructor's.
// Thread-compatible.
class Channel {
 public:
  virtual ~Channel() = default;

  // Until kDone, before anything else.
  virtual Io Handshake() = 0;
  // At most `size` bytes, > 0. REQUIRES: size > 0.
  virtual Io Read(char* data, size_t size, size_t* count) = 0;
  virtual Io Write(absl::string_view bytes, size_t* count) = 0;
  // Bytes wait that the descriptor will not tell of.
  virtual bool has_pending() const = 0;
  // Says that nothing more is written, as far as that can be said at once.
  virtual void ShutDownWriting() = 0;
  // Of poll and epoll.
  virtual int fd() const = 0;
};

// REQUIRES: the descriptor is a connected, non-blocking socket.
std::unique_ptr<Channel> MakePlainChannel(Descriptor socket);

// Null: no memory.
std::unique_ptr<Channel> MakeTlsChannel(Descriptor socket, const TlsContext& context);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_CHANNEL_H_
