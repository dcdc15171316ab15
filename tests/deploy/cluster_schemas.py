"""What a cluster would accept, run by the Python of setup.sh's virtual environment "kubernetes": objects as JSON on standard
input, {version of Kubernetes: [object, ...]}; what is wrong with them, a line each, on standard output."""
import json
import sys

import kubernetes_validate
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as prometheus

CUSTOM = {
    "keda.sh/v1alpha1": {"ScaledObject": keda.ScaledObject},
    "monitoring.coreos.com/v1": {"ServiceMonitor": prometheus.ServiceMonitor, "PrometheusRule": prometheus.PrometheusRule},
}


def faults_of_custom(model, found):
    """Models let fields pass that they do not know, and drop them: what comes back must be what went in."""
    try:
        back = model.model_validate(found).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except ValueError as error:
        return [str(error)]
    return [] if back == found else [f"fields that its definition does not have: {json.dumps(found)} comes back as {json.dumps(back)}"]


def faults_of(found, version):
    if found["apiVersion"] in CUSTOM:
        return faults_of_custom(CUSTOM[found["apiVersion"]][found["kind"]], found)
    try:
        kubernetes_validate.validate(found, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{list(error.path)}: {error.message}"]
    return []


for version, objects in json.load(sys.stdin).items():
    for each in objects:
        for fault in faults_of(each, version):
            print(f"{version}: {each['kind']} {each['metadata']['name']}: {fault}")
