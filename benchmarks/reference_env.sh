#!/bin/sh
# Make a virtual environment that holds nexus beside the libraries it is compared with, so that both run in one process.
#   benchmarks/reference_env.sh DIR        then: python -m benchmarks index --reference-env DIR
# torch and torchvision must come from the same place: TORCH_INDEX=https://download.pytorch.org/whl/cpu, say.
set -eu
directory=${1:?usage: benchmarks/reference_env.sh DIR}
cd "$(dirname "$0")/.."
"${PYTHON:-python3}" -m venv "$directory"
pip="$directory/bin/python -m pip --disable-pip-version-check --quiet"
$pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r constraints.txt torchvision
$pip install -c constraints.txt -e '.[mirror,openvino]' timm transformers
"$directory/bin/python" -c 'import faiss, nexus, timm, torchvision, transformers'
