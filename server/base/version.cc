#include "server/base/version.h"

namespace hmar {

const char* ServerVersion() { return HMAR_SERVER_VERSION; }

}  // namespace hmar
