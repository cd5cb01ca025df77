#!/usr/bin/env bash
# The run of tool_calling.sh on several nodes. Start it on every node, with the same gd2po and verl installed on each:
# verl registers the plug-in in every process of Ray by itself.
#
#   NODES=4 RANK=0 HEAD=10.0.0.1 TRAIN=... TEST=... bash examples/verl/tool_calling_nodes.sh    on the first
#   NODES=4 RANK=1 HEAD=10.0.0.1 bash examples/verl/tool_calling_nodes.sh                       on the second, and so on
#
# Under Slurm: NODES=$SLURM_NNODES RANK=$SLURM_NODEID HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -1)
# Every node must see the data, the model and the run folder under the same path. `ray stop` on a node ends its part.
set -euo pipefail

: "${NODES:?number of nodes}" "${RANK:?0 on the first node, 1 on the second, ...}" "${HEAD:?address of the first node}"
: "${PORT:=6379}" "${GPUS:=8}" "${WAIT_SECONDS:=600}"

if [[ $RANK != 0 ]]; then
  # The head may not be up yet.
  for ((waited = 0; waited < WAIT_SECONDS; waited += 5)); do
    ray start --address="$HEAD:$PORT" --num-gpus="$GPUS" --block && exit 0
    sleep 5
  done
  echo "no Ray at $HEAD:$PORT within $WAIT_SECONDS s: has the first node started, and is the port open?" >&2
  exit 1
fi

ray start --head --node-ip-address="$HEAD" --port="$PORT" --num-gpus="$GPUS"
export RAY_ADDRESS="$HEAD:$PORT"
for ((waited = 0; waited < WAIT_SECONDS; waited += 5)); do
  alive=$(python3 -c 'import ray; ray.init(log_to_driver=False); print(sum(n["Alive"] for n in ray.nodes()))' | tail -1)
  [[ $alive -ge $NODES ]] && break
  echo "$alive of $NODES nodes are up"
  sleep 5
done
if [[ $alive -lt $NODES ]]; then
  echo "$alive of $NODES nodes came up within $WAIT_SECONDS s: see the output of the others." >&2
  exit 1
fi

NODES=$NODES GPUS=$GPUS exec bash "$(dirname "$0")/tool_calling.sh" "$@"
