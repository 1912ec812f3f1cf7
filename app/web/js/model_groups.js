// Groups of models for the picker: one for each data set, then one for each family. The members of a
// family differ in beta alone, and would otherwise hide the models that one chooses from.

/** Return [{label, family, models}, ...]; `family` is null for the models of a data set, and members are in the order of beta. */
export function modelGroups(models) {
  const own = models.filter(({ family }) => !family);
  const datasets = [...new Set(own.map(({ dataset }) => dataset))];
  const families = [...new Set(models.flatMap(({ family }) => family?.name ?? []))];
  return [
    ...datasets.map((dataset) => ({ label: dataset, family: null, models: own.filter((model) => model.dataset === dataset) })),
    ...families.map((name) => {
      const members = models.filter(({ family }) => family?.name === name).toSorted((a, b) => a.family.beta - b.family.beta);
      return { label: `${name}: a family to compare beta`, family: name, models: members };
    }),
  ];
}

/** Return the option of a member of a family. */
export const memberText = ({ name, family: { beta } }) => `${name}: beta ${beta}`;
