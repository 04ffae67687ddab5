# Two targets:
#   docker build --target cpu  -t humanscope .            any machine
#   docker build --target cuda -t humanscope-cuda .       NVIDIA; gsplat's kernels are compiled here, not at first use
#   docker run -p 7860:7860 [--gpus all] humanscope
FROM python:3.11-slim-bookworm AS cpu
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd -m -u 1000 user
USER user
WORKDIR /home/user/app
ENV PATH=/home/user/.local/bin:$PATH PYTHONUNBUFFERED=1 GRADIO_ANALYTICS_ENABLED=False \
    MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=17179869184 HUMANSCOPE_HOME=/home/user/humanscope
COPY --chown=user requirements.txt .
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir -r requirements.txt
COPY --chown=user . .
EXPOSE 7860
CMD ["python", "app.py", "serve", "--host", "0.0.0.0", "--port", "7860"]

FROM nvidia/cuda:12.6.3-devel-ubuntu22.04 AS cuda
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-dev python3-venv python3-pip gcc g++ git \
    && rm -rf /var/lib/apt/lists/* && useradd -m -u 1000 user
USER user
WORKDIR /home/user/app
ENV PATH=/home/user/venv/bin:$PATH PYTHONUNBUFFERED=1 GRADIO_ANALYTICS_ENABLED=False HUMANSCOPE_HOME=/home/user/humanscope \
    TORCH_CUDA_ARCH_LIST="7.5;8.0;8.6;8.9;9.0+PTX" MAX_JOBS=2
COPY --chown=user requirements.txt requirements-cuda.txt ./
RUN python3 -m venv /home/user/venv && pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cu126 \
    && pip install --no-cache-dir ninja setuptools wheel \
    && pip install --no-cache-dir -r requirements.txt \
    && BUILD_NO_CUDA=0 FORCE_CUDA=1 pip install --no-cache-dir --no-build-isolation --no-binary gsplat gsplat==1.5.3 \
    && pip install --no-cache-dir -r requirements-cuda.txt
COPY --chown=user . .
EXPOSE 7860
CMD ["python", "app.py", "serve", "--host", "0.0.0.0", "--port", "7860"]

# The target that is built when none is named.
FROM cpu
