# `cpack -G DEB`: three packages. What each depends on is read off its programs by dpkg-shlibdeps.
set(CPACK_PACKAGE_NAME hmar-server)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "the hmar-server authors <hmar-server@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL server client)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# LibTorch's libraries lie in the package itself.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${HMAR_TORCH_DIR}/lib ${HMAR_TORCH_DIR}/../nvidia/cu13/lib)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_STRICT_CONFIGURE ON)

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME hmar-server)
set(CPACK_DEBIAN_SERVER_DESCRIPTION "${PROJECT_DESCRIPTION}
 A gRPC and HTTP server that holds HMAR models, packs requests that stand at
 different scales into one forward, streams every scale as a preview, edits
 images zero-shot and tells Prometheus what it does. With a small model.")
set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS hmar)
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_SOURCE_DIR}/postinst ${CMAKE_CURRENT_SOURCE_DIR}/prerm
    ${CMAKE_CURRENT_SOURCE_DIR}/postrm)

set(CPACK_DEBIAN_CLIENT_PACKAGE_NAME hmar)
set(CPACK_DEBIAN_CLIENT_DESCRIPTION "Client of hmar-server, and its load generator
 hmar makes and edits pictures at a terminal and watches a server; hmar-load
 loads one, checks what comes and reports how long it took.")
set(CPACK_DEBIAN_CLIENT_PACKAGE_SECTION graphics)

if(TARGET hmar_cuda)
  list(APPEND CPACK_COMPONENTS_ALL cuda)
  set(CPACK_DEBIAN_CUDA_PACKAGE_NAME hmar-server-cuda)
  set(CPACK_DEBIAN_CUDA_DESCRIPTION "GPUs for hmar-server
 The CUDA engine. CUDA 13's cudart comes with hmar-server; cuBLASLt is
 NVIDIA's, from their packages or a folder of LD_LIBRARY_PATH.")
  set(CPACK_DEBIAN_CUDA_PACKAGE_DEPENDS "hmar-server (= ${PROJECT_VERSION})")
  set(CPACK_DEBIAN_CUDA_PACKAGE_RECOMMENDS "libcublas-13-0")
  # dpkg-shlibdeps would want a package for cuBLASLt, which Debian has not.
  set(CPACK_DEBIAN_CUDA_PACKAGE_SHLIBDEPS OFF)
endif()
include(CPack)
