#ifndef HMAR_CLIENT_LOAD_LOAD_COMMAND_H_
#define HMAR_CLIENT_LOAD_LOAD_COMMAND_H_

#include "client/client.h"
#include "client/load/load_options.h"
#include "client/load/load_run.h"

namespace hmar::load {

// Runs all loads and reports: the table to standard output, progress and what kept it from starting
// to standard error, and the files. `stop` ends the loads, `canceller` what comes before them.
int RunLoad(const LoadOptions& options, Canceller& canceller, StopSignal& stop);

}  // namespace hmar::load

#endif  // HMAR_CLIENT_LOAD_LOAD_COMMAND_H_
