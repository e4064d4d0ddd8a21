"""Describes the extensions; everything else stands in pyproject.toml.

The kernels are one Cython source, compiled once for each precision and instruction set:

    cbp.kernels.f32_x86_64_v3, cbp.kernels.f64_x86_64_v3, …

Environment:
    CBP_DEBUG=1         bounds checks, initialisation checks and C assertions
    CBP_OPENMP=0        serial
    CBP_BUILD_ISAS      instruction sets to build, by name, instead of those of the platform
    CBP_SANITIZE        for -fsanitize=, such as address,undefined
"""

import os
import platform
import shutil
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("CBP_DEBUG", "0") not in ("", "0")
OPENMP = os.environ.get("CBP_OPENMP", "1") not in ("", "0")
SANITIZE = os.environ.get("CBP_SANITIZE", "")

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

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "embedsignature": False,
}
KERNELS = Path("src/cbp/kernels")


def kernel(precision, isa):
    vector_bytes, flags = ISAS[isa]
    name = f"{precision}_{isa.replace('-', '_')}"
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
    )


class fresh_build(build):
    """Starts from nothing: what an earlier build left behind would go into the wheel."""

    def run(self):
        shutil.rmtree(Path(self.build_lib, "cbp"), ignore_errors=True)
        super().run()


class build_kernels(build_ext):
    """Probes the compiler, then compiles."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        compile_args, link_args = self.common_flags()
        sources = self.c_sources()
        for extension in self.extensions:
            extension.sources = [self.own_copy(sources[extension.sources[0]], extension)]
            extension.include_dirs.append(str(KERNELS))
            extension.extra_compile_args += compile_args
            extension.extra_link_args += link_args
            if DEBUG:
                extension.define_macros.append(("CBP_DEBUG", "1"))
        super().build_extensions()

    def common_flags(self):
        if self.compiler.compiler_type == "msvc":
            return ["/O2"], []
        compile_args = ["-O3", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden", "-Wno-psabi"]
        compile_args.append("-g" if DEBUG or SANITIZE else "-g0")
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
        openmp = next((way for way in ways if OPENMP and self.links(*way)), None)
        if openmp is None:
            self.warn("OpenMP is " + ("not available" if OPENMP else "off") + ": cbp will run on one thread")
            return compile_args, link_args
        return compile_args + openmp[0], link_args + openmp[1]

    def links(self, compile_args, link_args):
        """Whether an OpenMP program compiles and links with the flags."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_args)
                self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=link_args)
            except Exception:  # each compiler class raises its own
                return False
        return True

    def c_sources(self):
        """The C file of each Cython source, made once."""
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
        """Under its own name, so that modules of one source have objects of their own."""
        copy = Path(source).with_name(extension.name.rpartition(".")[2] + ".c")
        if copy != Path(source):
            shutil.copyfile(source, copy)
        return str(copy)


setup(
    ext_modules=[
        Extension("cbp._core", ["src/cbp/_core.pyx"]),
        Extension("cbp.kernels.cpu", ["src/cbp/kernels/cpu.pyx"]),
        *(kernel(precision, isa) for isa in CHOSEN for precision in ("f32", "f64")),
    ],
    cmdclass={"build": fresh_build, "build_ext": build_kernels},
)
