/** SQL files are uploaded as text modules, so that a Worker can create the tables it needs. */
declare module "*.sql" {
  const text: string;
  export default text;
}
