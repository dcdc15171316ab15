#ifndef HMAR_CLIENT_LOAD_FINDINGS_H_
#define HMAR_CLIENT_LOAD_FINDINGS_H_

#include <cstdint>

#include "client/load/load_options.h"
#include "client/load/report.h"
#include "client/load/seen.h"

namespace hmar::load {

// What the figures must be read with: adds warnings and errors to a report whose runs and metrics
// are there, and sets its exit code. `compared`: images that --verify found a second time. Pure.
void AddFindings(const LoadOptions& options, const Seen& seen, uint64_t compared, bool interrupted,
                 Report& report);

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_FINDINGS_H_
