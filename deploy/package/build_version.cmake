# Run by the build: writes OUTPUT, a header with the version and the commit, where they have changed.
# Arguments: SOURCE, OUTPUT, VERSION.
set(text ${VERSION})
find_package(Git QUIET)
if(GIT_FOUND AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} status --porcelain --untracked-files=no
                  OUTPUT_VARIABLE changes OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(commit AND changes)
    set(text "${VERSION} (commit ${commit}, changed)")
  elseif(commit)
    set(text "${VERSION} (commit ${commit})")
  endif()
endif()
set(header "#define HMAR_BUILD_VERSION \"${text}\"  // Written by the build.\n")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT header STREQUAL old)
  file(WRITE ${OUTPUT} "${header}")
endif()
