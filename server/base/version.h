#ifndef HMAR_SERVER_BASE_VERSION_H_
#define HMAR_SERVER_BASE_VERSION_H_

namespace hmar {

// The version that receipts and --version give: CMake's PROJECT_VERSION.
const char* ServerVersion();

}  // namespace hmar

#endif  // HMAR_SERVER_BASE_VERSION_H_
