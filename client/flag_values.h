#ifndef HMAR_CLIENT_FLAG_VALUES_H_
#define HMAR_CLIENT_FLAG_VALUES_H_

// Values of flags that CLI11 has no checks for, or too lenient ones. For command_line.cc,
// load/load_options.cc and watch/watch_options.cc alone.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "client/edit_options.h"

namespace hmar {

// A finite positive number of seconds.
CLI::Validator Seconds();

// A whole number that T holds; T is uint32_t or uint64_t.
template <typename T>
CLI::Validator Unsigned();

// Anything but "".
CLI::Validator NotEmpty();

// A path that ends in .png.
CLI::Validator PngName();

// A name of a key or a model, as a server takes it: at most 64 of A-Z a-z 0-9 . _ -
CLI::Validator KeyName();

// "2027-01-31" or "2027-01-31T00:00:00Z", that there is.
CLI::Validator DateOrTime();

// A flag that takes x0,y0,x1,y1. Whether the box lies in the picture is the server's to say.
CLI::Option* AddBox(CLI::App& app, const std::string& name, std::optional<EditBox>& box,
                    const std::string& meaning);

}  // namespace hmar

#endif  // HMAR_CLIENT_FLAG_VALUES_H_
