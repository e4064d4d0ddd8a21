"""Describes the extensions; everything else stands in pyproject.toml.

The kernels are one Cython source, compiled once for each precision and instruction set:

    cbp.kernels.f32_x86_64_v3, cbp.kernels.f64_x86_64_v3, …

Environment:
    CBP_DEBUG=1         bounds checks, initialisation checks and C assertions
    CBP_OPENMP          1, the default: with OpenMP where the compiler has it, else serial, with a warning;
                        0: serial; require: with OpenMP, or the build fails
    CBP_BUILD_ISAS      instruction sets to build, by name, instead of those of the platform
    CBP_SANITIZE        for -fsanitize=, such as address,undefined
    CBP_LIMITED_API=1   one wheel for Python 3.12 and all that follow (abi3); its calls take 9 to 12 % longer

On Windows the compiler is clang-cl if it is installed: MSVC has no vector types, and its builds are slow.
"""

import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("CBP_DEBUG", "0") not in ("", "0")
OPENMP = os.environ.get("CBP_OPENMP", "1") or "0"
SANITIZE = os.environ.get("CBP_SANITIZE", "")
LIMITED = os.environ.get("CBP_LIMITED_API", "0") not in ("", "0")

# Name: (bytes of a vector, flags). The last two are for tests: the 512-bit path on a machine without
# 512-bit registers, and the path for compilers without vector types.
ISAS = {
    "x86-64-v2": (16, ["-march=x86-64-v2"]),
    "x86-64-v3": (32, ["-march=x86-64-v3"]),
    "x86-64-v4": (64, ["-march=x86-64-v4", "-mprefer-vector-width=512"]),
    "baseline": (16, []),
    "wide": (64, ["-march=x86-64-v3"]),
    "plain": (0, []),
}
X86 = platform.machine().lower() in ("x86_64", "amd64")
CHOSEN = os.environ.get("CBP_BUILD_ISAS", "x86-64-v2 x86-64-v3 x86-64-v4" if X86 else "baseline").split()

if OPENMP not in ("0", "1", "require"):
    raise SystemExit(f"CBP_OPENMP must be 0, 1 or require, got {OPENMP}")
if unknown := set(CHOSEN) - set(ISAS):
    raise SystemExit(f"CBP_BUILD_ISAS must name some of {', '.join(ISAS)}, got {', '.join(sorted(unknown))}")
# Free-threaded Python 3.15 has a similar ABI, abi3t, which setuptools 84 supports. But the C code of Cython
# 3.3 does not compile for it: it describes a module by a PyModuleDef, which the headers hide for abi3t.
if LIMITED and (sys.version_info < (3, 12) or sysconfig.get_config_var("Py_GIL_DISABLED")):
    raise SystemExit(f"CBP_LIMITED_API=1 needs Python 3.12 or later with the GIL, this is {sys.version}")

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    # A lock lets only one training at a time use a network. Predictions in other threads read the parameters,
    # which training replaces at the end of an epoch: a prediction may then see a mixture of old and new ones,
    # but nothing else that it reads changes.
    "freethreading_compatible": True,
    "embedsignature": False,
}
KERNELS = Path("src/cbp/kernels")
# The targets that clang-cl is told. By default it builds for the architecture that it was compiled for
# itself, but a clang-cl for x86-64 runs on ARM too.
TARGETS = {
    "win-amd64": "x86_64-pc-windows-msvc",
    "win-arm64": "aarch64-pc-windows-msvc",
    "win32": "i686-pc-windows-msvc",
}


def kernel(precision, isa):
    vector_bytes, flags = ISAS[isa]
    name = f"{precision}_{isa.replace('-', '_')}"
    if not (DEBUG or SANITIZE or os.name == "nt"):
        # Tables by which stacks are unwound would be 30 kB of the wheel. Exceptions pass through no kernel.
        flags = [*flags, "-fno-asynchronous-unwind-tables"]
    macros = [("VBYTES", str(vector_bytes)), ("PyInit_backprop", f"PyInit_{name}")]
    if precision == "f64":
        macros.append(("CBP_DOUBLE", "1"))
    depends = [str(p) for pattern in ("*.pxi", "*.pxd", "*.h") for p in sorted(KERNELS.glob(pattern))]
    return Extension(
        f"cbp.kernels.{name}",
        ["src/cbp/kernels/backprop.pyx"],
        define_macros=macros,
        extra_compile_args=list(flags),
        depends=depends,
        py_limited_api=LIMITED,
    )


class fresh_build(build):
    """Deletes what an earlier build left behind, which would otherwise go into the wheel."""

    def run(self):
        shutil.rmtree(Path(self.build_lib, "cbp"), ignore_errors=True)
        super().run()


class build_kernels(build_ext):
    """Probes the compiler, then compiles."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            self.use_clang_cl()
        compile_args, link_args = self.common_flags()
        sources = self.c_sources()
        for extension in self.extensions:
            extension.extra_compile_args = [self.as_flag(flag) for flag in extension.extra_compile_args]
            extension.sources = [self.own_copy(sources[extension.sources[0]], extension)]
            extension.include_dirs.append(str(KERNELS))
            extension.extra_compile_args += compile_args
            extension.extra_link_args += link_args
            if DEBUG:
                extension.define_macros.append(("CBP_DEBUG", "1"))
            if LIMITED:
                extension.define_macros.append(("Py_LIMITED_API", "0x030C0000"))
        super().build_extensions()

    clang_cl = None

    def use_clang_cl(self):
        """Compile with clang-cl, if it is on PATH or where LLVM's installer puts it."""
        if not self.compiler.initialized:
            self.compiler.initialize()
        path = os.environ["PATH"] + os.pathsep + r"C:\Program Files\LLVM\bin"
        self.clang_cl = shutil.which("clang-cl", path=path)
        if self.clang_cl is None:
            self.warn("clang-cl was not found: MSVC builds cbp without vectors, which is right and slow")
            # Without vectors the code is the same for each instruction set, so only the first is built.
            others = tuple(isa.replace("-", "_") for isa in CHOSEN[1:])
            self.extensions = [e for e in self.extensions if not (others and e.name.endswith(others))]
        else:
            self.compiler.cc = self.clang_cl

    def as_flag(self, flag):
        """Return a flag of GCC and clang in the form of clang-cl; for MSVC, which lacks them, return /O2."""
        if self.compiler.compiler_type != "msvc":
            return flag
        return f"/clang:{flag}" if self.clang_cl else "/O2"

    def common_flags(self):
        # A step of a tiny network takes 80 ns, and this changes by 3 % with the places in a cache line where
        # functions begin. If functions are aligned, the code before them does not move these places.
        compile_args = ["-O3", "-fno-math-errno", "-ffp-contract=off", "-falign-functions=64"]
        if self.compiler.compiler_type == "msvc":
            return self.windows_flags([self.as_flag(flag) for flag in compile_args])
        compile_args += ["-fvisibility=hidden", "-Wno-psabi", "-g" if DEBUG or SANITIZE else "-g0"]
        # GCC would inline functions that do not ask for it, and copy loops for each outcome of a condition.
        # The kernels would be a sixth larger, and not faster. clang, which copies less, lacks some of these.
        small = ["-fno-inline-functions", "-fno-unswitch-loops", "-fno-split-loops", "-fno-peel-loops"]
        if self.links([*small, "-Werror"], []):
            compile_args += small
        link_args = []
        if DEBUG:
            compile_args.append("-UNDEBUG")
        if SANITIZE:
            compile_args += [
                f"-fsanitize={SANITIZE}",
                "-fno-omit-frame-pointer",
                "-fno-sanitize-recover=undefined",
            ]
            link_args.append(f"-fsanitize={SANITIZE}")
        ways = [(["-fopenmp"], ["-fopenmp"]), (["-Xpreprocessor", "-fopenmp"], ["-lomp"])]
        openmp = next((way for way in ways if OPENMP != "0" and self.links(*way)), None)
        if openmp is None:
            self.go_serial(
                "neither -fopenmp nor -Xpreprocessor -fopenmp with -lomp makes an OpenMP program, see above"
            )
            return compile_args, link_args
        return compile_args + openmp[0], link_args + openmp[1]

    def windows_flags(self, compile_args):
        """Return flags with LLVM's OpenMP, which a wheel can carry; MSVC's is OpenMP 2.0, of 2002."""
        if self.clang_cl is None:
            self.go_serial("clang-cl was not found, and MSVC's OpenMP is not used")
            return compile_args, []
        target = TARGETS[self.plat_name]
        compile_args = [f"--target={target}", *compile_args]
        library = str(Path(self.clang_cl).parent.parent / "lib" / "libomp.lib")
        if OPENMP != "0" and self.links([*compile_args, "/openmp"], [library]):
            return [*compile_args, "/openmp"], [library]
        self.go_serial(f"{self.clang_cl} makes no OpenMP program for {target} with {library}, see above")
        return compile_args, []

    def go_serial(self, reason):
        """Warn that the build will be for one thread, or end the build if OpenMP is required."""
        if OPENMP == "0":
            self.warn("OpenMP is off: cbp will run on one thread")
            return
        if OPENMP == "require":
            raise SystemExit(f"CBP_OPENMP=require, but {reason}; CBP_OPENMP=1 would build cbp for one thread")
        self.warn(f"OpenMP is not available, as {reason}: cbp will run on one thread")

    def links(self, compile_args, link_args):
        """Whether an OpenMP program compiles and links with the flags."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_args)
                # Linking a shared object takes LDFLAGS into account, which setuptools' link of a program
                # does not.
                self.compiler.link_shared_object(
                    objects, str(Path(folder, "probe.so")), extra_postargs=link_args
                )
            except Exception:  # each compiler class raises its own
                return False
        return True

    def c_sources(self):
        """Make the C file of each Cython source once; return the paths of the C files by those sources."""
        paths = sorted({extension.sources[0] for extension in self.extensions})
        modules = [
            Extension("cbp." + path[len("src/cbp/") : -len(".pyx")].replace("/", "."), [path])
            for path in paths
        ]
        made = cythonize(
            modules,
            compiler_directives=DIRECTIVES,
            build_dir=str(Path(self.build_temp, "c")),
            include_path=["src"],
            force=True,
            quiet=True,
        )
        return {path: extension.sources[0] for path, extension in zip(paths, made, strict=True)}

    def own_copy(self, source, extension):
        """Copy a C file to the extension's name, so that each module of one source has its own object."""
        copy = Path(source).with_name(extension.name.rpartition(".")[2] + ".c")
        if copy != Path(source):
            shutil.copyfile(source, copy)
        return str(copy)


setup(
    ext_modules=[
        Extension("cbp._core", ["src/cbp/_core.pyx"], py_limited_api=LIMITED),
        Extension("cbp._probes", ["src/cbp/_probes.pyx"], py_limited_api=LIMITED),
        Extension("cbp.kernels.cpu", ["src/cbp/kernels/cpu.pyx"], py_limited_api=LIMITED),
        *(kernel(precision, isa) for isa in CHOSEN for precision in ("f32", "f64")),
    ],
    cmdclass={"build": fresh_build, "build_ext": build_kernels},
    options={"bdist_wheel": {"py_limited_api": "cp312"}} if LIMITED else {},
)
