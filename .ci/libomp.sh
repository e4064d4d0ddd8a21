#!/usr/bin/env bash
# Builds LLVM's OpenMP runtime from its source, for the wheels of macOS: bash .ci/libomp.sh PREFIX
#
# Homebrew's libomp is made for the macOS of the machine that builds: a wheel with it would need that macOS. It also no
# longer exists for Intel. The libomp built here is for MACOSX_DEPLOYMENT_TARGET. LLVM 21 is the last version whose
# runtime is published as an archive of its own. A new version needs its own two hashes.
set -euo pipefail

version=21.1.8
prefix=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fetch() { # name, SHA-256: unpacks name-version.src.tar.xz into a folder of that name
    local archive=$folder/$1.tar.xz
    curl --fail --silent --show-error --location --retry 3 --output "$archive" \
        "https://github.com/llvm/llvm-project/releases/download/llvmorg-$version/$1-$version.src.tar.xz"
    echo "$2  $archive" | shasum -a 256 --check
    mkdir "$folder/$1"
    tar -xf "$archive" -C "$folder/$1" --strip-components 1
}

fetch openmp 856b023748b41ac7b2c83fd8e9f765ff48a4df2fe6777d2811ef7c7ed8f2f977
fetch cmake 85735f20fd8c81ecb0a09abb0c267018475420e93b65050cc5b7634eab744de9 # found as ../cmake

# The install name of the library, by which programs look for it, is its full path, so that delocate finds it. There are
# no aliases, because one of them has the name of GCC's libgomp.
cmake -G Ninja -S "$folder/openmp" -B "$folder/build" \
    -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_INSTALL_PREFIX="$prefix" \
    -DCMAKE_INSTALL_NAME_DIR="$prefix/lib" \
    -DLIBOMP_INSTALL_ALIASES=OFF \
    -DOPENMP_ENABLE_LIBOMPTARGET=OFF
cmake --build "$folder/build" --target install

if [ "$(uname)" = Darwin ]; then
    otool -D "$prefix/lib/libomp.dylib" | grep -qxF "$prefix/lib/libomp.dylib"
    otool -l "$prefix/lib/libomp.dylib" | grep -A 3 LC_BUILD_VERSION # what it is made for
fi
