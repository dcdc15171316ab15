# Manual pages, made of what the programs say of themselves.
find_program(HELP2MAN help2man)
if(NOT HELP2MAN)
  message(STATUS "help2man is not here: no manual pages are made")
  return()
endif()

set(pages)
# hmar_manual(PAGE SECTION COMPONENT DESCRIPTION PROGRAM [SUBCOMMAND...])
function(hmar_manual page section component description program)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${page}.${section})
  list(JOIN ARGN " " subcommand)
  add_custom_command(
    OUTPUT ${output} DEPENDS ${program} VERBATIM
    # help2man takes one word for the program; its --help is that of the subcommand, its --version the program's.
    COMMAND ${CMAKE_COMMAND} -E env HMAR_PROGRAM=$<TARGET_FILE:${program}> "HMAR_SUBCOMMAND=${subcommand}"
            ${HELP2MAN} --no-info --section=${section} --name=${description} --manual=hmar-server
            --version-string=${PROJECT_VERSION} --output=${output} ${CMAKE_CURRENT_SOURCE_DIR}/help_of.sh)
  install(FILES ${output} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${component})
  set(pages ${pages} ${output} PARENT_SCOPE)
endfunction()

hmar_manual(hmar-server 8 server "batched image generation server for HMAR models" hmar-server)
hmar_manual(hmar 1 client "pictures from an hmar-server, scale by scale" hmar)
hmar_manual(hmar-load 1 client "load an hmar-server, and say what came of it" hmar-load)
hmar_manual(hmar-generate 1 client "make images" hmar generate)
hmar_manual(hmar-edit 1 client "make part of a picture anew" hmar edit)
hmar_manual(hmar-models 1 client "list what a server holds" hmar models)
hmar_manual(hmar-health 1 client "say whether a server is ready" hmar health)
hmar_manual(hmar-watch 1 client "follow a server's throughput, queue and latency" hmar watch)
hmar_manual(hmar-sheet 1 client "lay picture files out on one page" hmar sheet)
hmar_manual(hmar-key-new 1 client "make a key for a server's keys file" hmar key new)
add_custom_target(hmar_manuals ALL DEPENDS ${pages})
