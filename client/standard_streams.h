#ifndef HMAR_CLIENT_STANDARD_STREAMS_H_
#define HMAR_CLIENT_STANDARD_STREAMS_H_

// Standard input, output and error, whatever the shell made of them.

#include "absl/status/status.h"

namespace hmar {

// Call it first in main. Afterwards:
// - none of the three is closed, so that no file or connection takes its number and gets what was
//   meant for it; writing to one that was closed fails;
// - a reader that went away, or a file at the shell's limit (ulimit -f), is an error of the next
//   write, not the end of the process. Pictures are still made when whoever read the progress lines
//   has gone;
// - gRPC's own messages, which quote what a server sent, come printable (client/printable.h).
void PrepareStandardStreams();

// Call it last. UNKNOWN: something written to standard output did not arrive; says why.
absl::Status FlushStandardOutput();

}  // namespace hmar

#endif  // HMAR_CLIENT_STANDARD_STREAMS_H_
