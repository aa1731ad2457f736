"""The fields of all objects but pods, by type."""

from __future__ import annotations

from django_userpods.core.fields import ANY, Type, type_of

OBJECT_TYPES: dict[str, Type] = {
    "ConfigMap": type_of(of={"metadata": "ObjectMeta"}, bytes="binaryData", counts="immutable"),
    "ObjectMeta": type_of(
        of={"ownerReferences": "OwnerReference"}, keys={"ownerReferences": "uid"}, sets="finalizers"
    ),
    "OwnerReference": type_of(atomic=True),
    "Secret": type_of(
        of={"metadata": "ObjectMeta"}, bytes="data", counts="immutable", default={"type": "Opaque"}
    ),
    "ServiceAccount": type_of(
        of={
            "imagePullSecrets": "LocalObjectReference",
            "metadata": "ObjectMeta",
            "secrets": "ObjectReference",
        },
        keys={"secrets": "name"},
        counts="automountServiceAccountToken",
    ),
    "LocalObjectReference": type_of(atomic=True),
    "ObjectReference": type_of(atomic=True),
    "Service": type_of(of={"metadata": "ObjectMeta", "spec": "ServiceSpec"}),
    "ServiceSpec": type_of(
        of={"ports": "ServicePort"},
        keys={"ports": "port protocol"},
        whole="selector",
        counts="allocateLoadBalancerNodePorts",
        default={
            "clusterIP": ANY,
            "clusterIPs": ANY,
            "externalTrafficPolicy": "Cluster",
            "ipFamilies": ANY,
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    ),
    "ServicePort": type_of(default={"nodePort": ANY, "protocol": "TCP", "targetPort": ANY}),
    "PersistentVolumeClaim": type_of(
        of={"metadata": "ObjectMeta", "spec": "PersistentVolumeClaimSpec"}
    ),
    "PersistentVolumeClaimSpec": type_of(
        of={
            "dataSource": "TypedLocalObjectReference",
            "resources": "VolumeResourceRequirements",
            "selector": "LabelSelector",
        },
        counts="selector storageClassName volumeAttributesClassName",
        default={"volumeName": ANY},
    ),
    "TypedLocalObjectReference": type_of(atomic=True),
    "VolumeResourceRequirements": type_of(quantities="limits requests"),
    "LabelSelector": type_of(atomic=True),
    "ResourceQuota": type_of(
        of={"metadata": "ObjectMeta", "spec": "ResourceQuotaSpec"}, counts="spec"
    ),
    "ResourceQuotaSpec": type_of(
        of={"scopeSelector": "ScopeSelector"}, quantities="hard", counts="scopeSelector"
    ),
    "ScopeSelector": type_of(atomic=True),
    "LimitRange": type_of(of={"metadata": "ObjectMeta", "spec": "LimitRangeSpec"}),
    "LimitRangeSpec": type_of(of={"limits": "LimitRangeItem"}),
    "LimitRangeItem": type_of(quantities="default defaultRequest max maxLimitRequestRatio min"),
    "Pod": type_of(of={"metadata": "ObjectMeta", "spec": "PodSpec"}),
    "PersistentVolumeClaimTemplate": type_of(
        of={"metadata": "ObjectMeta", "spec": "PersistentVolumeClaimSpec"}, counts="metadata"
    ),
    "Deployment": type_of(of={"metadata": "ObjectMeta", "spec": "DeploymentSpec"}),
    "DeploymentSpec": type_of(
        of={
            "selector": "LabelSelector",
            "strategy": "DeploymentStrategy",
            "template": "PodTemplateSpec",
        },
        counts="replicas revisionHistoryLimit",
    ),
    "DeploymentStrategy": type_of(
        one_of="rollingUpdate type",
        of={"rollingUpdate": "RollingUpdateDeployment"},
        default={"type": "RollingUpdate"},
    ),
    "RollingUpdateDeployment": type_of(counts="maxSurge maxUnavailable"),
    "PodTemplateSpec": type_of(of={"metadata": "ObjectMeta", "spec": "PodSpec"}, counts="metadata"),
    "ReplicaSet": type_of(of={"metadata": "ObjectMeta", "spec": "ReplicaSetSpec"}),
    "ReplicaSetSpec": type_of(
        of={"selector": "LabelSelector", "template": "PodTemplateSpec"}, counts="replicas"
    ),
    "DaemonSet": type_of(of={"metadata": "ObjectMeta", "spec": "DaemonSetSpec"}),
    "DaemonSetSpec": type_of(
        of={
            "selector": "LabelSelector",
            "template": "PodTemplateSpec",
            "updateStrategy": "DaemonSetUpdateStrategy",
        },
        counts="revisionHistoryLimit",
    ),
    "DaemonSetUpdateStrategy": type_of(
        one_of="rollingUpdate type",
        of={"rollingUpdate": "RollingUpdateDaemonSet"},
        default={"type": "RollingUpdate"},
    ),
    "RollingUpdateDaemonSet": type_of(counts="maxSurge"),
    "StatefulSet": type_of(of={"metadata": "ObjectMeta", "spec": "StatefulSetSpec"}),
    "StatefulSetSpec": type_of(
        of={
            "ordinals": "StatefulSetOrdinals",
            "persistentVolumeClaimRetentionPolicy": "ClaimRetentionPolicy",
            "selector": "LabelSelector",
            "template": "PodTemplateSpec",
            "updateStrategy": "StatefulSetUpdateStrategy",
            "volumeClaimTemplates": "PersistentVolumeClaim",
        },
        counts="replicas revisionHistoryLimit serviceName",
        default={"podManagementPolicy": "OrderedReady"},
    ),
    "StatefulSetOrdinals": type_of(counts="start"),
    "ClaimRetentionPolicy": type_of(default={"whenDeleted": "Retain", "whenScaled": "Retain"}),
    "StatefulSetUpdateStrategy": type_of(
        one_of="rollingUpdate type",
        of={"rollingUpdate": "RollingUpdateStatefulSetStrategy"},
        default={"type": "RollingUpdate"},
    ),
    "RollingUpdateStatefulSetStrategy": type_of(counts="partition"),
    "Job": type_of(of={"metadata": "ObjectMeta", "spec": "JobSpec"}),
    "JobSpec": type_of(
        of={
            "podFailurePolicy": "PodFailurePolicy",
            "selector": "LabelSelector",
            "template": "PodTemplateSpec",
        },
        counts=(
            "activeDeadlineSeconds backoffLimit completions manualSelector parallelism "
            "suspend ttlSecondsAfterFinished"
        ),
    ),
    "PodFailurePolicy": type_of(of={"rules": "PodFailurePolicyRule"}),
    "PodFailurePolicyRule": type_of(of={"onExitCodes": "PodFailurePolicyOnExitCodesRequirement"}),
    "PodFailurePolicyOnExitCodesRequirement": type_of(sets="values"),
    "CronJob": type_of(of={"metadata": "ObjectMeta", "spec": "CronJobSpec"}),
    "CronJobSpec": type_of(
        of={"jobTemplate": "JobTemplateSpec"},
        counts=(
            "failedJobsHistoryLimit startingDeadlineSeconds successfulJobsHistoryLimit suspend"
        ),
        default={"concurrencyPolicy": "Allow"},
    ),
    "JobTemplateSpec": type_of(of={"metadata": "ObjectMeta", "spec": "JobSpec"}, counts="metadata"),
    "NetworkPolicy": type_of(of={"metadata": "ObjectMeta", "spec": "NetworkPolicySpec"}),
    "NetworkPolicySpec": type_of(
        of={
            "egress": "NetworkPolicyEgressRule",
            "ingress": "NetworkPolicyIngressRule",
            "podSelector": "LabelSelector",
        },
        counts="podSelector",
        default={"policyTypes": ANY},
    ),
    "NetworkPolicyEgressRule": type_of(of={"to": "NetworkPolicyPeer"}),
    "NetworkPolicyPeer": type_of(
        of={"namespaceSelector": "LabelSelector", "podSelector": "LabelSelector"},
        counts="namespaceSelector podSelector",
    ),
    "NetworkPolicyIngressRule": type_of(of={"from": "NetworkPolicyPeer"}),
    "Ingress": type_of(of={"metadata": "ObjectMeta", "spec": "IngressSpec"}),
    "IngressSpec": type_of(of={"defaultBackend": "IngressBackend", "rules": "IngressRule"}),
    "IngressBackend": type_of(
        one_of="resource service",
        of={"resource": "TypedLocalObjectReference", "service": "IngressServiceBackend"},
    ),
    "IngressServiceBackend": type_of(of={"port": "ServiceBackendPort"}),
    "ServiceBackendPort": type_of(atomic=True),
    "IngressRule": type_of(of={"http": "HTTPIngressRuleValue"}),
    "HTTPIngressRuleValue": type_of(of={"paths": "HTTPIngressPath"}),
    "HTTPIngressPath": type_of(of={"backend": "IngressBackend"}),
    "PodDisruptionBudget": type_of(
        of={"metadata": "ObjectMeta", "spec": "PodDisruptionBudgetSpec"}, counts="spec"
    ),
    "PodDisruptionBudgetSpec": type_of(
        one_of="maxUnavailable minAvailable",
        of={"selector": "LabelSelector"},
        counts="minAvailable selector",
    ),
    "Role": type_of(of={"metadata": "ObjectMeta"}),
    "RoleBinding": type_of(
        of={"metadata": "ObjectMeta", "roleRef": "RoleRef", "subjects": "Subject"}
    ),
    "RoleRef": type_of(default={"apiGroup": "rbac.authorization.k8s.io"}, atomic=True),
    "Subject": type_of(atomic=True),
    "Lease": type_of(of={"metadata": "ObjectMeta", "spec": "LeaseSpec"}, counts="spec"),
    "LeaseSpec": type_of(counts="holderIdentity leaseTransitions"),
    "HorizontalPodAutoscaler": type_of(
        of={"metadata": "ObjectMeta", "spec": "HorizontalPodAutoscalerSpec"}
    ),
    "HorizontalPodAutoscalerSpec": type_of(
        of={"behavior": "HorizontalPodAutoscalerBehavior", "metrics": "MetricSpec"},
        default={"metrics": ANY},
    ),
    "HorizontalPodAutoscalerBehavior": type_of(
        of={"scaleDown": "HPAScalingRules", "scaleUp": "HPAScalingRules"}
    ),
    "HPAScalingRules": type_of(quantities="tolerance", counts="stabilizationWindowSeconds"),
    "MetricSpec": type_of(
        of={
            "containerResource": "ContainerResourceMetricSource",
            "external": "ExternalMetricSource",
            "object": "ObjectMetricSource",
            "pods": "PodsMetricSource",
            "resource": "ResourceMetricSource",
        }
    ),
    "ContainerResourceMetricSource": type_of(of={"target": "MetricTarget"}),
    "MetricTarget": type_of(quantities="averageValue value"),
    "ExternalMetricSource": type_of(of={"metric": "MetricIdentifier", "target": "MetricTarget"}),
    "MetricIdentifier": type_of(of={"selector": "LabelSelector"}, counts="selector"),
    "ObjectMetricSource": type_of(of={"metric": "MetricIdentifier", "target": "MetricTarget"}),
    "PodsMetricSource": type_of(of={"metric": "MetricIdentifier", "target": "MetricTarget"}),
    "ResourceMetricSource": type_of(of={"target": "MetricTarget"}),
    "Endpoints": type_of(of={"metadata": "ObjectMeta"}),
    "EndpointSlice": type_of(of={"endpoints": "Endpoint", "metadata": "ObjectMeta"}),
    "Endpoint": type_of(sets="addresses"),
    "Event": type_of(of={"metadata": "ObjectMeta"}),
}
